"""`--fault STATE:KIND`: what is to go wrong, so that a person can watch how it goes on."""

from __future__ import annotations

from typing import Annotated

import typer

from kiro_local.aws.step_fault import StepFault
from kiro_local.faults import UnknownFault, parse_fault

LATE_SECONDS = 5.0

FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="STATE:KIND[:always]",
        help="Let that happen to that state, once or always; repeatable. An unknown one names those that there are.",
    ),
]


def step_faults(texts: list[str] | None) -> list[StepFault]:
    """Raises :class:`typer.BadParameter` for what cannot happen."""
    try:
        return [parse_fault(text) for text in texts or ()]
    except UnknownFault as error:
        raise typer.BadParameter(str(error), param_hint="--fault") from None
