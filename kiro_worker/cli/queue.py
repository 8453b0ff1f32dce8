"""`kiro-worker pause` and `kiro-worker resume`: stop the queue, and start it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import boto3
import typer
from rich.console import Console
from rich.markup import escape

from kiro_worker.cli.options import EndpointOption, EnvironmentOption, JsonOption, names_of
from kiro_worker.records import breaker
from kiro_worker.records.table import RecordsTable

if TYPE_CHECKING:
    from kiro_worker.records.breaker import Breaker

_PAUSE_EXAMPLES = """
Examples:

  kiro-worker pause --reason "release day"

  kiro-worker pause --environment production --json

  kiro-worker pause --endpoint-url http://127.0.0.1:PORT     against `kiro-worker local up`

Exit codes: 0 done, 1 failed, 2 wrong command line.
"""
_RESUME_EXAMPLES = _PAUSE_EXAMPLES.replace("kiro-worker pause", "kiro-worker resume").replace(
    ' --reason "release day"', ""
)


def pause(
    reason: Annotated[str, typer.Option(help="Why, for the other operators.")] = "",
    environment: EnvironmentOption = "test",
    endpoint_url: EndpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop taking cards from the queue. Runs that work on a card go on, and replays and redrives still start."""
    records = _records(environment, endpoint_url)
    who = boto3.client("sts", endpoint_url=endpoint_url).get_caller_identity()["Arn"]
    breaker.pause(records, who, reason)
    if as_json:
        typer.echo(json.dumps({"environment": environment, "paused": True, "by": who, "reason": reason}, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"paused   {environment}, by {escape(who)}" + (f": {escape(reason)}" if reason else ""))
    console.print(f"resume   kiro-worker resume --environment {environment}")


def resume(
    environment: EnvironmentOption = "test", endpoint_url: EndpointOption = None, as_json: JsonOption = False
) -> None:
    """Take cards from the queue again, after a pause or after a repair of the installation."""
    before = breaker.resume(_records(environment, endpoint_url))
    if as_json:
        typer.echo(json.dumps({"environment": environment, **_describe(before)}, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    for line in _lines(before) or ["neither paused nor stopped by a failure"]:
        console.print(f"until now  {escape(line)}")
    console.print("next       the next scheduled run takes a card")


pause.__doc__ = f"{pause.__doc__}\n{_PAUSE_EXAMPLES}"
resume.__doc__ = f"{resume.__doc__}\n{_RESUME_EXAMPLES}"


def _records(environment: str, endpoint_url: str | None) -> RecordsTable:
    name = names_of(environment).records_table
    return RecordsTable(boto3.client("dynamodb", endpoint_url=endpoint_url), name)


def _describe(before: Breaker) -> dict[str, object]:
    return {
        "wasPaused": before.is_paused,
        "pausedBy": before.paused_by,
        "pauseReason": before.pause_reason,
        "wasStoppedBy": before.error,
        "stoppedReason": before.reason,
    }


def _lines(before: Breaker) -> list[str]:
    lines = []
    if before.is_paused:
        lines.append(f"paused by {before.paused_by} since {breaker.time_for_people(before.paused_since)}")
    if before.is_open:
        lines.append(f"stopped by {before.error} since {breaker.time_for_people(before.since)}: {before.reason}")
    return lines
