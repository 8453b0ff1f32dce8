"""Following an execution while it runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from kiro_worker.execution_status import ENDED_STATUSES
from kiro_worker.executions.history import read_events, read_run, states_entered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_stepfunctions import SFNClient

    from kiro_worker.executions.history import Run, StateEntered

_POLL_SECONDS: Final = 0.1


def follow(
    client: SFNClient,
    arn: str,
    seen: int = 0,
    patience: float = 3600,
    poll_seconds: float = _POLL_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[StateEntered]:
    """Yield each state as the execution enters it, from history event number ``seen`` on, until the execution ends.

    ``patience`` and ``poll_seconds`` are in seconds. Raises :class:`TimeoutError` when the execution still runs after
    ``patience``.
    """
    deadline = time.monotonic() + patience
    while True:
        ended = client.describe_execution(executionArn=arn)["status"] in ENDED_STATUSES
        events = read_events(client, arn)
        yield from states_entered(events, seen)
        seen = len(events)
        if ended:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{arn} still runs after {patience:.0f} s")
        sleep(poll_seconds)


def wait_for(client: SFNClient, arn: str, patience: float = 600) -> Run:
    """The execution once it has ended."""
    for _ in follow(client, arn, patience=patience):
        pass
    return read_run(client, arn)
