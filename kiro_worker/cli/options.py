"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from kiro_worker.names import ENVIRONMENTS, Names

EnvironmentOption = Annotated[str, typer.Option(help=f"The environment: {', '.join(ENVIRONMENTS)}.")]
EndpointOption = Annotated[
    str | None, typer.Option(help="The endpoint of `kiro-worker local up` instead of AWS. Or set AWS_ENDPOINT_URL.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def names_of(environment: str) -> Names:
    """The names of what is deployed as ``environment``. Raises :class:`typer.BadParameter` if there is none of it."""
    if environment not in ENVIRONMENTS:
        raise typer.BadParameter(f"there is no environment {environment!r}; use one of {', '.join(ENVIRONMENTS)}")
    return Names(environment)
