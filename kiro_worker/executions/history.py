"""Reads what an execution did from its history.

It uses only the Step Functions API, so that it works with AWS and with the embedded AWS.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_stepfunctions import SFNClient


@dataclass(frozen=True)
class StateEntered:
    """A state that the execution entered: its name, the seconds since the execution's start, and its state document."""

    name: str
    seconds: float
    document: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One execution.

    ``states`` are the states entered, in order, across all redrives. ``transitions`` is what AWS bills: states entered,
    retries and redrives (https://aws.amazon.com/step-functions/pricing/). ``invocations`` counts Lambda invocations.
    ``output`` is empty unless the execution succeeded.
    """

    arn: str
    status: str
    states: tuple[StateEntered, ...]
    transitions: int
    invocations: int
    redrives: int
    output: dict[str, Any]
    error: str
    cause: str

    @property
    def outcome(self) -> str:
        """The outcome in the output, else the error's name, else the status."""
        return str(self.output.get("outcome", "")) or self.error or self.status

    @property
    def item_id(self) -> str | None:
        """The ID of the card that the run worked on last."""
        for entered in reversed(self.states):
            if item := entered.document.get("item"):
                return str(item["id"])
        return None


def read_run(client: SFNClient, arn: str) -> Run:
    """The current state of the execution."""
    described = client.describe_execution(executionArn=arn)
    events = read_events(client, arn)
    states = tuple(states_entered(events))
    redrives = described.get("redriveCount", 0)
    return Run(
        arn=arn,
        status=described["status"],
        states=states,
        transitions=len(states) + redrives + _retries(events),
        invocations=sum(_is_lambda(event) for event in events),
        redrives=redrives,
        output=json.loads(described.get("output") or "{}"),
        error=described.get("error", ""),
        cause=described.get("cause", ""),
    )


def read_events(client: SFNClient, arn: str) -> list[Any]:
    """Every history event of the execution, in order."""
    pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
    return [event for page in pages for event in page["events"]]


def states_entered(events: list[Any], start: int = 0) -> Iterator[StateEntered]:
    """Yield the states entered in ``events``, from index ``start`` on."""
    if not events:
        return
    started_at = events[0]["timestamp"]
    for event in events[start:]:
        if entered := event.get("stateEnteredEventDetails"):
            document = json.loads(entered.get("input") or "{}")
            # An execution can be started with any JSON. The first state rejects input that is not an object.
            document = document if isinstance(document, dict) else {}
            yield StateEntered(entered["name"], (event["timestamp"] - started_at).total_seconds(), document)


def _is_lambda(event: Any) -> bool:
    return bool(event.get("taskScheduledEventDetails", {}).get("resourceType") == "lambda")


def _retries(events: Iterable[Any]) -> int:
    """How many task attempts were retries: all scheduled attempts, minus those due to an entered state or a redrive."""
    scheduled = sum(event["type"] == "TaskScheduled" for event in events)
    entered = sum(event["type"] == "TaskStateEntered" for event in events)
    redriven = sum(event["type"] == "ExecutionRedriven" for event in events)
    return int(max(scheduled - entered - redriven, 0))
