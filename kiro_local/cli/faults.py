"""The option `--fault STATE:KIND`, which makes a state fail on purpose."""

from __future__ import annotations

from typing import Annotated

import typer

from kiro_local.aws.step_fault import StepFault
from kiro_local.faults import UnknownFault, parse_fault

LATE_SECONDS = 5.0
"""How long after a state has timed out its work is done under the fault `done-late`."""

FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="STATE:KIND[:always]",
        help="Make a state fail in this way, once or always. Can be repeated. An unknown state or kind lists all of"
        " them.",
    ),
]


def step_faults(texts: list[str] | None) -> list[StepFault]:
    """The faults of the option; raises :class:`typer.BadParameter` for an unknown state or kind."""
    try:
        return [parse_fault(text) for text in texts or ()]
    except UnknownFault as error:
        raise typer.BadParameter(str(error), param_hint="--fault") from None
