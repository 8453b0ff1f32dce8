"""Follows the runs that a run started, for the commands that show them on the terminal.

A run that looked at the queue and took no card is worth one line. Its states are shown only if it takes one, or fails.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.executions.follow import follow
from kiro_worker.executions.history import Run, StateEntered, read_events, read_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_stepfunctions import SFNClient

_TAKES_CARD: Final = "ValidateWorkItem"


@dataclass(frozen=True)
class NextRunStarted:
    """A run that another run started takes a card, or has failed. Its states follow."""

    arn: str


@dataclass(frozen=True)
class NextRunEnded:
    """A run that another run started has ended. If it is ``quiet``, it found none, and its states were not shown."""

    run: Run
    quiet: bool


NextRunEvent = NextRunStarted | StateEntered | NextRunEnded


def runs_started_by(client: SFNClient, arn: str) -> list[str]:
    """The ARNs of the runs that the execution started, in order."""
    details: list[dict[str, Any]] = [event.get("taskSucceededEventDetails", {}) for event in read_events(client, arn)]
    outputs = [found["output"] for found in details if found.get("resource") == "startExecution"]
    return [str(json.loads(output)["ExecutionArn"]) for output in outputs]


def follow_next_runs(client: SFNClient, arn: str, known: set[str]) -> Iterator[NextRunEvent]:
    """Follow the runs that the execution started, and those that they start, one after the other.

    Runs in ``known`` are left out, and those that are followed are added to it.
    """
    for started in runs_started_by(client, arn):
        if started not in known:
            known.add(started)
            yield from _follow(client, started)
            yield from follow_next_runs(client, started, known)


def _follow(client: SFNClient, arn: str) -> Iterator[NextRunEvent]:
    held: list[StateEntered] = []
    shown = False
    for entered in follow(client, arn):
        held.append(entered)
        if entered.name == _TAKES_CARD and not shown:
            shown = True
            yield NextRunStarted(arn)
        if shown:
            yield from held
            held.clear()
    run = read_run(client, arn)
    if not shown and run.status != "SUCCEEDED":
        shown = True
        yield NextRunStarted(arn)
        yield from held
    yield NextRunEnded(run, quiet=not shown)
