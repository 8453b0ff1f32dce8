"""The record ``breaker``: why the queue is stopped, either because the installation is broken or because of a pause.

Until the operators repair a broken installation, every run fails, so a failure that they have to fix opens the breaker.
While it is open, a run that is not pinned to a card ends before it does anything; from time to time, one such run goes
on as a probe. A run that reaches the end of its build closes the breaker, even if the tests fail.

A pause is a person's decision in the same record. It stops the same runs, and there are no probes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from kiro_worker.records.table import number, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.records.table import RecordsTable

FIRST_WAIT_SECONDS: Final = 300
LONGEST_WAIT_SECONDS: Final = 3600
LONGEST_NAMED_WAIT_SECONDS: Final = 24 * 3600
_LONGEST_REASON: Final = 2000
_FAILURE: Final = ("error", "reason", "since", "retryAfter", "waitSeconds", "probe", "item")
_PAUSE: Final = ("pausedBy", "pauseReason", "pausedSince")


@dataclass(frozen=True)
class Breaker:
    """The record :attr:`KEY`. Times are in epoch seconds, and 0 if they do not apply.

    ``error`` and ``reason`` are those of the last failure of the installation; ``error`` is empty if the breaker is
    closed. ``since`` is when it opened, ``retry_after`` when the next probe may go on, and ``probe`` the execution that
    was elected last. ``paused_by`` is who paused the queue; it is empty if the queue is not paused. ``item`` is the
    card of the run that failed last; it is empty if that run had none.
    """

    KEY: ClassVar = "breaker"

    error: str = ""
    reason: str = ""
    since: int = 0
    retry_after: int = 0
    wait_seconds: int = 0
    probe: str = ""
    paused_by: str = ""
    pause_reason: str = ""
    paused_since: int = 0
    item: str = ""

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Self:
        """The breaker in an item of the records table; closed and not paused if the item is empty."""
        return cls(
            error=text(item, "error"),
            reason=text(item, "reason"),
            since=number(item, "since"),
            retry_after=number(item, "retryAfter"),
            wait_seconds=number(item, "waitSeconds"),
            probe=text(item, "probe"),
            paused_by=text(item, "pausedBy"),
            pause_reason=text(item, "pauseReason"),
            paused_since=number(item, "pausedSince"),
            item=text(item, "item"),
        )

    @property
    def is_open(self) -> bool:
        return bool(self.error)

    @property
    def is_paused(self) -> bool:
        return bool(self.paused_by)


def read_breaker(records: RecordsTable) -> Breaker:
    """The breaker as recorded; closed and not paused if there is no record."""
    return Breaker.from_item(records.read(Breaker.KEY))


def open_breaker(records: RecordsTable, error: str, reason: str, item_id: str = "", retry_after: int = 0) -> None:
    """Record a failure of the installation. Callers do so before they raise or report the failure.

    ``item_id`` is the card of the run that failed, if it had one. The next probe prefers another card, because a
    failure of one card that only looks like one of the installation must not stop the others.

    A breaker that is already open keeps its times. Only the election of a probe prolongs the wait: a repeated write and
    failures of several runs at once do not. ``retry_after`` is when the service that failed works again, if it named a
    time: no probe goes on before, but none waits for more than a day.
    """
    latest = {"error": error, "reason": reason[:_LONGEST_REASON], "item": item_id}
    now = records.now()
    first = max(now + FIRST_WAIT_SECONDS, min(retry_after, now + LONGEST_NAMED_WAIT_SECONDS))
    times = {"since": now, "retryAfter": first, "waitSeconds": FIRST_WAIT_SECONDS}
    if records.update_if(Breaker.KEY, {**latest, **times}, equals={"error": None}):
        return
    records.update_if(Breaker.KEY, latest, present=("error",))
    known = read_breaker(records).retry_after
    if retry_after and first > known:
        records.update_if(Breaker.KEY, {"retryAfter": first}, equals={"retryAfter": known}, present=("error",))


def elect_probe(records: RecordsTable, breaker: Breaker, execution: str) -> bool:
    """Whether ``execution`` is the probe while ``breaker``, as it was read, is open. Each wait has at most one.

    The elected run gets the same answer whenever it asks again.
    """
    if breaker.probe == execution:
        return True
    now = records.now()
    if now < breaker.retry_after:
        return False
    wait = min(2 * breaker.wait_seconds, LONGEST_WAIT_SECONDS) or FIRST_WAIT_SECONDS
    elected: dict[str, str | int] = {"retryAfter": now + wait, "waitSeconds": wait, "probe": execution}
    if records.update_if(Breaker.KEY, elected, equals={"retryAfter": breaker.retry_after, "since": breaker.since}):
        return True
    # boto3 repeats a write whose answer was lost, and the condition of the second one fails because of the first.
    return read_breaker(records).probe == execution


def close_breaker(records: RecordsTable, execution: str, proven_at: float) -> bool:
    """Close the breaker if it opened before ``proven_at``, or if ``execution`` is its probe. Return whether it closed.

    ``proven_at`` is when the run that proves the installation works took its lock, in epoch seconds: a build that
    started before the failure proves nothing about it.
    """
    breaker = read_breaker(records)
    if not breaker.is_open or (breaker.probe != execution and proven_at <= breaker.since):
        return False
    return records.update_if(Breaker.KEY, {}, equals={"since": breaker.since, "error": breaker.error}, remove=_FAILURE)


def pause(records: RecordsTable, who: str, reason: str) -> None:
    """Pause the queue until :func:`resume`."""
    note: dict[str, str | int] = {"pausedBy": who, "pauseReason": reason[:_LONGEST_REASON]}
    records.update_if(Breaker.KEY, {**note, "pausedSince": records.now()})


def resume(records: RecordsTable) -> Breaker:
    """End a pause and close the breaker. Return the record as it was."""
    before = read_breaker(records)
    records.update_if(Breaker.KEY, {}, remove=(*_FAILURE, *_PAUSE))
    return before


def time_for_people(seconds: int) -> str:
    """A time of the record as text: ``2026-01-02 04:04 UTC``."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M UTC}"
