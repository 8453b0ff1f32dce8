"""Follows an execution while it runs."""

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
    past_events: int = 0,
    timeout: float = 3600,
    poll_seconds: float = _POLL_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[StateEntered]:
    """Yield each state as the execution enters it, until the execution ends.

    The first ``past_events`` events of the history are skipped. Raises :class:`TimeoutError` if the execution is still
    running after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        ended = client.describe_execution(executionArn=arn)["status"] in ENDED_STATUSES
        events = read_events(client, arn)
        yield from states_entered(events, past_events)
        past_events = len(events)
        if ended:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{arn} is still running after {timeout:.0f} s")
        sleep(poll_seconds)


def wait_for(client: SFNClient, arn: str, timeout: float = 600) -> Run:
    """Wait until the execution ends, and return it. Raises :class:`TimeoutError` after ``timeout`` seconds."""
    for _ in follow(client, arn, timeout=timeout):
        pass
    return read_run(client, arn)
