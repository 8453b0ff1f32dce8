"""Chooses the card that a run takes: the first one in the queue's order that can be built now.

The order is that of the board's field ``Priority``, if it has one, and then the position on the board. A card whose
lock is held, whose repository has spent the day's credits, or that was rejected a short while ago, is passed over
before anything is spent on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import GitHubRefused, GitHubUnavailable
from kiro_worker.github.board import fetch_page
from kiro_worker.github.queries import FETCH_PAGE, FETCH_WORK_ITEM
from kiro_worker.github.request_errors import UnknownArgument
from kiro_worker.models import REDACTED
from kiro_worker.passed_over import PassedOverCard, Why
from kiro_worker.records.queue import QueueRecords

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from gql import GraphQLRequest

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.answers.board import BoardPage
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.models import WorkItem
    from kiro_worker.records.cards import Rejection

REJECTED_SECONDS: Final = 900
"""How long a rejected card waits unless a person moves it: an earlier check costs requests and finds nothing new."""
MOST_POINTS: Final = 10
"""How many pages a run reads of a board that GitHub filters. A page of 100 cards is one point of 5,000 an hour."""
MOST_PAGES: Final = 100
"""The same for a server that cannot filter: its pages hold the cards of every status, and cost no points by default."""
MOST_SECONDS: Final = 30.0
"""How long a run reads pages, so that the step stays within its timeout."""
_CARDS_PER_READ: Final = 40
"""The cards whose records one request reads, with those of their repositories. DynamoDB allows 100 records."""


def _no_lock(_: WorkItem) -> str:
    return ""


def _no_records(_: Sequence[WorkItem]) -> QueueRecords:
    return QueueRecords()


@dataclass(frozen=True)
class Queue:
    """What the choice of a card depends on besides the board.

    ``skipped`` are the IDs of the cards that the run has passed over already. ``lock_of`` names the held lock that a
    card needs; empty if it is free or not known. ``read_records`` is called for at most 40 cards at a time, and only
    for cards that could be taken otherwise. ``now`` is in epoch seconds. The card ``last`` is taken only if no other
    waiting card can be. ``cursor`` is where an earlier run stopped reading the board; empty if it read all of it.
    ``clock`` measures the time that the run may read.
    """

    skipped: Collection[str] = ()
    lock_of: Callable[[WorkItem], str] = _no_lock
    read_records: Callable[[Sequence[WorkItem]], QueueRecords] = _no_records
    now: float = 0
    last: str = ""
    cursor: str = ""
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class NextCard:
    """The card to work on; ``None`` if there is none that can be built now.

    ``passed_over`` are the waiting cards before it, and ``hidden`` counts those that the token may not see. ``waiting``
    and ``oldest_seconds`` describe the cards in the target status, as far as they were read: their number, and how long
    one of them has been there at most. ``cursor`` is where the next run goes on; empty if that is the second page.
    """

    item: WorkItem | None = None
    passed_over: tuple[PassedOverCard, ...] = ()
    hidden: int = 0
    waiting: int = 0
    oldest_seconds: int = 0
    cursor: str = ""


async def fetch_next_card(session: GitHubSession, configuration: Configuration, queue: Queue) -> NextCard:
    """The first waiting card that can be built now, in the queue's order.

    A card that an earlier run rejected comes last, and only :data:`REJECTED_SECONDS` after that, unless a person has
    moved it since. A page of 100 cards is one request and one point. The status is checked again here, because the
    server's filter is a search language and may match other cards.

    Without a card, a run reads on until :data:`MOST_POINTS` or :data:`MOST_SECONDS`. The next one then reads the first
    page, whose cards come first, goes on where this one stopped, and at the end of the board with the second page.
    """
    filtered = {"query": _filter(configuration)}
    if '"' not in configuration.target_status_column:  # the filter language of a view cannot escape it inside a value
        with suppress(UnknownArgument):
            return await _choose(_Pages(session, configuration, queue, FETCH_WORK_ITEM, filtered, MOST_POINTS))
    return await _choose(_Pages(session, configuration, queue, FETCH_PAGE, {}, MOST_PAGES))


@dataclass
class _Pages:
    """The pages of the board that a run reads: the first one, those from the cursor of an earlier run on, and the rest.

    ``at`` is the cursor of the last page that was read, and ``left`` that of the page to read next. Each is empty if
    there is none.
    """

    session: GitHubSession
    configuration: Configuration
    queue: Queue
    operation: GraphQLRequest
    variables: Mapping[str, Any]
    most: int
    at: str = ""
    left: str = ""

    async def read(self) -> AsyncIterator[BoardPage]:
        deadline = self.queue.clock() + MOST_SECONDS
        page = await self._fetch("")
        second, start, first_read, is_past_end = self.left, "", page, False
        for number in range(1, self.most + 1):
            yield page
            if not self.left or number == self.most or self.queue.clock() > deadline:
                return
            if number == 1:
                page = first_read = await self._resume(self.queue.cursor)
                start = self.at
            else:
                page = await self._fetch(self.left)
            if is_past_end and (self.left == start or _overlap(page, first_read)):
                self.left = ""
            elif not self.left and not is_past_end and start != second:
                # The earlier run stopped here because of cards that may be gone, or may have been locked until now.
                self.left, is_past_end = second, True

    async def _resume(self, cursor: str) -> BoardPage:
        if cursor:
            # GitHub may refuse a cursor whose card is gone.
            with suppress(GitHubRefused):
                return await self._fetch(cursor)
        return await self._fetch(self.left)

    async def _fetch(self, after: str) -> BoardPage:
        variables = {**self.variables, "after": after or None}
        page = await fetch_page(self.session, self.configuration, self.operation, variables)
        following = page.next_cursor or ""
        self.at, self.left = after, following if following != after else ""
        return page


def _overlap(one: BoardPage, other: BoardPage) -> bool:
    return not {card.id for card in one.cards}.isdisjoint(card.id for card in other.cards)


async def _choose(pages: _Pages) -> NextCard:
    choice = _Choice(pages.configuration, pages.queue)
    try:
        async for page in pages.read():
            choice.consider(page)
            if choice.is_final:
                break
    except (GitHubUnavailable, GitHubRefused):
        # A page that GitHub cannot answer must not keep a card of another one waiting.
        if choice.best is None:
            raise
    found = choice.best
    waiting = max(choice.waiting, choice.total if "query" in pages.variables else 0)
    # The page of a final card may have another one. On the first page, the other pages were not looked at.
    cursor = (pages.at or pages.queue.cursor) if choice.is_final else pages.left
    card = found.item if found else None
    return NextCard(card, tuple(choice.passed_over), choice.hidden, waiting, choice.oldest_seconds, cursor)


@dataclass(frozen=True, order=True)
class _Rank:
    """The place of a card in the queue. Smaller is earlier."""

    tier: int
    """0 for a card that may be taken, 1 for one whose last rejection is old, 2 for the queue's ``last``."""
    priority: int
    place: int
    item: WorkItem = field(compare=False)


class _Choice:
    """The best card of the pages that were considered, and what was learned about the others."""

    def __init__(self, configuration: Configuration, queue: Queue) -> None:
        self._configuration = configuration
        self._queue = queue
        self.best: _Rank | None = None
        self.passed_over: list[PassedOverCard] = []
        self.hidden = self.waiting = self.total = self.oldest_seconds = 0
        self._has_priorities = False
        self._considered: set[str] = set()

    @property
    def is_final(self) -> bool:
        """Whether no card of a later page can come before the best one."""
        best = self.best
        return best is not None and best.tier == 0 and (best.priority == 0 or not self._has_priorities)

    def consider(self, page: BoardPage) -> None:
        self.total = page.total
        self.hidden += page.hidden
        priorities = page.project.priorities
        self._has_priorities = bool(priorities)
        places: list[_Rank] = []
        for card in page.cards:
            item = card.item
            is_waiting = item.status == self._configuration.target_status_column and not card.archived
            # A cursor may lie within a page that was read already, because cards before it have left the board.
            if not is_waiting or item.id in self._considered or item.id in self._queue.skipped:
                continue
            self._considered.add(item.id)
            self.waiting += 1
            self.oldest_seconds = max(self.oldest_seconds, _seconds_since(item, self._queue.now))
            rank = priorities.get(card.priority, len(priorities))
            places.append(_Rank(0, rank, self.waiting, item))
        self._take_first(sorted(places))

    def _take_first(self, places: Sequence[_Rank]) -> None:
        """Look at the cards in their order until none can come before the best one."""
        for start in range(0, len(places), _CARDS_PER_READ):
            free = [place for place in places[start : start + _CARDS_PER_READ] if self._may_come_first(place)]
            free = [place for place in free if self._is_free(place.item)]
            records = self._queue.read_records([place.item for place in free]) if free else QueueRecords()
            for place in free:
                if not self._may_come_first(place):
                    return
                self._place(place, records)

    def _may_come_first(self, place: _Rank) -> bool:
        return self.best is None or place < self.best

    def _is_free(self, item: WorkItem) -> bool:
        if item.content_type == REDACTED:
            self.hidden += 1
            return False
        if lock := self._queue.lock_of(item):
            self.passed_over.append(PassedOverCard(item.id, Why.LOCKED, lock))
            return False
        return True

    def _place(self, place: _Rank, records: QueueRecords) -> None:
        """Make the card the best one, or pass it over."""
        item = place.item
        rejection, now = records.rejections.get(item.id), self._queue.now
        if budget := records.unaffordable.get(item.id):
            self.passed_over.append(PassedOverCard(item.id, Why.BUDGET_SPENT, budget))
            return
        tier = 0
        if item.id == self._queue.last:
            tier = 2
        elif rejection and not _has_moved(item, rejection):
            if now - rejection.at < REJECTED_SECONDS:
                self.passed_over.append(PassedOverCard(item.id, Why.REJECTED, rejection.reason))
                return
            tier = 1
        placed = _Rank(tier, place.priority, place.place, item)
        if self._may_come_first(placed):
            self.best = placed


def _filter(configuration: Configuration) -> str:
    # A view's filter names a field by its slug.
    slug = "-".join(configuration.status_field.lower().split())
    return f'{slug}:"{configuration.target_status_column}"'


def _has_moved(item: WorkItem, rejection: Rejection) -> bool:
    """Whether somebody has moved the card since it was rejected, even if the rejection was recorded after the move."""
    known = rejection.status_updated_at
    return _moved_at(item) >= rejection.at or (known != "" and item.status_updated_at != known)


def _seconds_since(item: WorkItem, now: float) -> int:
    moved = _moved_at(item)
    return max(0, int(now - moved)) if moved else 0


def _moved_at(item: WorkItem) -> float:
    """When the card got its status, in epoch seconds; 0 if that is not known."""
    try:
        return datetime.fromisoformat(item.status_updated_at).timestamp()
    except ValueError:
        return 0
