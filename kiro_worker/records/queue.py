"""What the records say of the queue: whether it is stopped, where a run stopped reading, and what waiting cards lack.

The record ``board`` holds the cursor of a board that one run cannot read as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kiro_worker.records.breaker import Breaker
from kiro_worker.records.cards import Rejection, card_key, rejections_in
from kiro_worker.records.days import day_key, spent
from kiro_worker.records.table import text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kiro_worker.models import WorkItem
    from kiro_worker.records.table import RecordsTable

_BOARD: Final = "board"


@dataclass(frozen=True)
class QueueStatus:
    """What a run reads before it looks at the board.

    ``cursor`` is empty if no run has stopped within the board. ``spent`` are the credits of today's builds.
    """

    breaker: Breaker
    cursor: str = ""
    spent: float = 0


@dataclass(frozen=True)
class QueueRecords:
    """What the records say of some waiting cards, by the card's ID.

    ``rejections`` are the last ones. ``unaffordable`` says which budget is spent.
    """

    rejections: Mapping[str, Rejection] = field(default_factory=dict)
    unaffordable: Mapping[str, str] = field(default_factory=dict)


def read_queue_status(records: RecordsTable) -> QueueStatus:
    """The breaker, the cursor and today's spending, in one request."""
    today = day_key(records.now())
    found = records.read_many([Breaker.KEY, _BOARD, today], consistent=True)
    breaker, board = found.get(Breaker.KEY, {}), found.get(_BOARD, {})
    return QueueStatus(Breaker.from_item(breaker), text(board, "cursor"), spent(found.get(today, {})))


def note_cursor(records: RecordsTable, cursor: str, before: str) -> None:
    """Record where the next run goes on, unless that has not changed since this run read ``before``."""
    if cursor != before:
        records.update_if(_BOARD, {"cursor": cursor})


def read_queue_records(
    records: RecordsTable, limit_of: Callable[[str], float | None], items: Sequence[WorkItem]
) -> QueueRecords:
    """What the records say of at most 40 cards, in one request.

    ``limit_of`` returns the credits that a repository may spend in a day; ``None`` if it may spend any number.
    """
    repositories = {item.repository for item in items if item.repository}  # a draft has none
    limits = {repository: limit for repository in repositories if (limit := limit_of(repository)) is not None}
    days = {repository: day_key(records.now(), repository) for repository in limits}
    found = records.read_many([*map(card_key, [item.id for item in items]), *days.values()])
    used = {repository: spent(found.get(day, {})) for repository, day in days.items()}
    unaffordable = {
        item.id: budget_spent(item.repository, used[item.repository], limits[item.repository])
        for item in items
        if item.repository in used and used[item.repository] >= limits[item.repository]
    }
    return QueueRecords(rejections_in(found), unaffordable)


def budget_spent(whose: str, used: float, limit: float) -> str:
    """The reason why no more is built today."""
    return f"{whose} has spent {used:g} of its {limit:g} credits of the day (UTC)"
