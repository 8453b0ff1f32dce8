"""What an execution did, read from its history through the API alone, so that it holds for the embedded AWS and for
the real one.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.execution_status import ENDED_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_stepfunctions import SFNClient

_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True)
class StateEntered:
    """A state that was entered: its name, seconds since the execution's start, and the state document it got."""

    name: str
    seconds: float
    document: dict[str, Any]


@dataclass(frozen=True)
class Run:
    """An execution. ``states`` are those entered, in order, over all redrives; ``transitions`` are what AWS bills:
    states entered, retries and redrives (https://aws.amazon.com/step-functions/pricing/); ``invocations`` are
    Lambda's; ``output`` is there when it succeeded.
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
        """The output's own word, or the error's name."""
        return str(self.output.get("outcome", "")) or self.error or self.status

    @property
    def item_id(self) -> str | None:
        """The card it worked on last."""
        for passed in reversed(self.states):
            if item := passed.document.get("item"):
                return str(item["id"])
        return None


def follow(
    client: SFNClient, arn: str, seen: int = 0, patience: float = 3600, poll_seconds: float = _POLL_SECONDS
) -> Iterator[StateEntered]:
    """The states as the execution enters them, from history event number ``seen`` on, until it has ended.

    Raises :class:`TimeoutError` after ``patience`` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        ended = client.describe_execution(executionArn=arn)["status"] in ENDED_STATUSES
        events = history(client, arn)
        yield from _passed(events, seen)
        seen = len(events)
        if ended:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{arn} still runs after {patience:.0f} s")
        time.sleep(poll_seconds)


def wait(client: SFNClient, arn: str, patience: float = 600) -> Run:
    """The execution, when it has ended."""
    for _ in follow(client, arn, patience=patience):
        pass
    return read_run(client, arn)


def read_run(client: SFNClient, arn: str) -> Run:
    """The execution as it stands."""
    described = client.describe_execution(executionArn=arn)
    events = history(client, arn)
    states = tuple(_passed(events, 0))
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


def history(client: SFNClient, arn: str) -> list[Any]:
    """Every event, in order."""
    pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
    return [event for page in pages for event in page["events"]]


def _passed(events: list[Any], start: int) -> Iterator[StateEntered]:
    if not events:
        return
    began = events[0]["timestamp"]
    for event in events[start:]:
        if entered := event.get("stateEnteredEventDetails"):
            document = json.loads(entered.get("input") or "{}")
            # An execution can be started with any JSON; the first state then refuses what is no object.
            document = document if isinstance(document, dict) else {}
            yield StateEntered(entered["name"], (event["timestamp"] - began).total_seconds(), document)


def _is_lambda(event: Any) -> bool:
    return bool(event.get("taskScheduledEventDetails", {}).get("resourceType") == "lambda")


def _retries(events: Iterable[Any]) -> int:
    """Attempts of a task beyond its first: those scheduled, less those that began with entering a state."""
    scheduled = sum(event["type"] == "TaskScheduled" for event in events)
    entered = sum(event["type"] == "TaskStateEntered" for event in events)
    redriven = sum(event["type"] == "ExecutionRedriven" for event in events)
    return int(max(scheduled - entered - redriven, 0))
