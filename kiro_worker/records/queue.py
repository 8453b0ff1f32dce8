"""What the records say of the queue: whether it is stopped, where a run stopped reading, and what waiting cards lack.

The record ``board`` holds the cursor of a board that one run cannot read as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kiro_worker.records.breaker import Breaker
from kiro_worker.records.cards import Rejection, read_rejections
from kiro_worker.records.table import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kiro_worker.models import WorkItem
    from kiro_worker.records.table import RecordsTable

_BOARD: Final = "board"


@dataclass(frozen=True)
class QueueStatus:
    """What a run reads before it looks at the board. ``cursor`` is empty if no run has stopped within the board."""

    breaker: Breaker
    cursor: str = ""


@dataclass(frozen=True)
class QueueRecords:
    """What the records say of some waiting cards, by the card's ID.

    ``rejections`` are the last ones. ``unaffordable`` says which budget is spent.
    """

    rejections: Mapping[str, Rejection] = field(default_factory=dict)
    unaffordable: Mapping[str, str] = field(default_factory=dict)


def read_queue_status(records: RecordsTable) -> QueueStatus:
    """The breaker and the cursor, in one request."""
    found = records.read_many([Breaker.KEY, _BOARD], consistent=True)
    return QueueStatus(Breaker.from_item(found.get(Breaker.KEY, {})), text(found.get(_BOARD, {}), "cursor"))


def note_cursor(records: RecordsTable, cursor: str, before: str) -> None:
    """Record where the next run goes on, unless that has not changed since this run read ``before``."""
    if cursor != before:
        records.update_if(_BOARD, {"cursor": cursor})


def read_queue_records(records: RecordsTable, items: Sequence[WorkItem]) -> QueueRecords:
    """What the records say of at most 40 cards, in one request."""
    return QueueRecords(read_rejections(records, [item.id for item in items]))
