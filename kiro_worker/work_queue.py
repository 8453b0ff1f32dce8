"""What ``FetchWorkItem`` decides: whether this run may start, which card it passes over, and which one it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import ScopedLockHeld, raise_by_name, with_remedy
from kiro_worker.github.next_card import NextCard, Queue, fetch_next_card
from kiro_worker.github.selection import read_pinned_card
from kiro_worker.lock.occupancy import Occupancy, occupancy
from kiro_worker.names import ANY_NAMES, with_environment
from kiro_worker.passed_over import PassedOverCard, Why, counts, in_words, to_document
from kiro_worker.records.breaker import Breaker, elect_probe, time_for_people
from kiro_worker.records.cards import note_rejection
from kiro_worker.records.queue import QueueStatus, note_cursor, read_queue_records, read_queue_status
from kiro_worker.recovery import report_and_clear_abandoned_runs
from kiro_worker.redaction import shortened
from kiro_worker.state import End, SkippedCard

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractAsyncContextManager

    from mypy_boto3_stepfunctions import SFNClient

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.github.selection import ExecutionInput
    from kiro_worker.lock.item import Holder
    from kiro_worker.lock.table import LockTable
    from kiro_worker.models import Failure, WorkItem
    from kiro_worker.records.table import RecordsTable
    from kiro_worker.state import StateDocument, StepEvent

MAX_SKIPPED: Final = 10
"""How many cards a run skips before it leaves the rest to the next one.

The limit keeps a run short, and stops a broken board from using up the API budget.
"""
_LONGEST_REASON: Final = 2000
"""The characters of each reason in the state document, which Step Functions limits to 256 KiB."""
_READ_SKIPPED: Final = (
    'read each card\'s reason under "skipped" and "passedOver" in the output of FetchWorkItem, or in the comment on the'
    " card. A corrected card is taken at once if it is moved out of the target status and back"
)
_RESUME: Final = f"kiro-worker resume --environment {ANY_NAMES.environment}"
_CHECKS: Final = frozenset({"ValidateWorkItem", "RejectWorkItem"})
"""The states that come before the lock. A card that makes one of them fail must not stop the other cards."""


@dataclass(frozen=True)
class Fetched:
    """The card to work on, or the ``end`` and the ``reason`` of the run.

    ``pinned`` says that the input or a redrive named the card. ``skipped`` are the cards that this run has tried, and
    ``passed_over`` the waiting ones that it did not try; ``hidden`` counts those that the token may not see.
    ``waiting``, ``oldest_seconds`` and ``builds`` are for metrics, and ``None`` if they were not read: the cards in the
    target status, how long the oldest one has been there, and the builds that run.
    """

    item: WorkItem | None = None
    pinned: bool = False
    skipped: tuple[SkippedCard, ...] = ()
    end: End | None = None
    reason: str = ""
    passed_over: tuple[PassedOverCard, ...] = ()
    hidden: int = 0
    waiting: int | None = None
    oldest_seconds: int | None = None
    builds: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The parts that this step adds to the state document."""
        return {
            "item": self.item.to_dict() if self.item else None,
            "pinned": self.pinned,
            "skipped": [card.to_dict() for card in self.skipped],
            "end": self.end,
            "reason": self.reason,
            "passedOver": to_document(self.passed_over, self.hidden),
        }


@dataclass(frozen=True)
class QueueEdges:
    """The services that this step asks. Each function is called only if its answer is needed."""

    locks: LockTable
    records: RecordsTable
    stepfunctions: SFNClient
    load_configuration: Callable[[], Configuration]
    open_session: Callable[[Configuration], AbstractAsyncContextManager[GitHubSession]]


async def fetch_work_item(event: StepEvent, request: ExecutionInput, edges: QueueEdges) -> Fetched:
    """The card to work on, if there is one and the run may start.

    If the run is pinned to a card, raises the failure of that card's check under its own name, and
    :class:`~kiro_worker.errors.WorkItemMoved` if the card's status does not allow work on it.
    """
    document = event.document
    passed = _passed_over(document, event.execution_arn)
    if passed and document.pinned:
        passed = _passed_over_by_pinned_run(event, edges, passed)
        if passed:
            reason = "the card that this run is about was rejected"
            return Fetched(skipped=(passed,), end=End.CARDS_PASSED_OVER, reason=reason)
    skipped = (*document.skipped, *([passed] if passed else []))
    pinned = request.item_id if passed or document.item is None else document.item.id
    if pinned is not None:
        return Fetched(item=await _read_pinned(edges, pinned), pinned=True, skipped=skipped)
    status = read_queue_status(edges.records)
    _raise_if_installation_is_broken(event, edges, passed, status.breaker)
    if stopped := _why_stopped(event, edges, status.breaker):
        end, reason = stopped
        return Fetched(skipped=skipped, end=end, reason=reason)
    if len(skipped) >= MAX_SKIPPED:
        _note(edges.records, document, passed, status.breaker)
        reason = f"the run tried {len(skipped)} cards, and none can be built; the next run looks at the others"
        shown = with_remedy(reason, _READ_SKIPPED)
        return Fetched(skipped=skipped, end=End.CARDS_PASSED_OVER, reason=shown)
    return await _fetch_waiting(event, request, edges, skipped, passed, status)


async def _read_pinned(edges: QueueEdges, item_id: str) -> WorkItem:
    configuration = edges.load_configuration()
    abandoned = edges.locks.abandoned(edges.locks.holders())
    async with edges.open_session(configuration) as session:
        await _clear(session, configuration, edges, abandoned)
        return await read_pinned_card(session, configuration, item_id)


async def _fetch_waiting(
    event: StepEvent,
    request: ExecutionInput,
    edges: QueueEdges,
    skipped: tuple[SkippedCard, ...],
    passed: SkippedCard | None,
    status: QueueStatus,
) -> Fetched:
    """The first waiting card that can be built now."""
    configuration, holders = edges.load_configuration(), edges.locks.holders()
    # Ticks look for abandoned runs. The runs in between would ask Step Functions about every build after every build.
    abandoned = [] if request.trigger == "chain" else edges.locks.abandoned(holders)
    occupied = occupancy(configuration, (each for each in holders if each not in abandoned), event.execution_arn)
    obstacle = with_environment(occupied.obstacle, event.execution_arn)
    if obstacle and not abandoned:
        end = End.WORK_IN_PROGRESS_ELSEWHERE
        return Fetched(skipped=skipped, end=end, reason=obstacle, builds=occupied.builds)
    async with edges.open_session(configuration) as session:
        await _clear(session, configuration, edges, abandoned)
        queue = Queue(
            skipped=[card.item for card in skipped],
            lock_of=occupied.lock_of,
            read_records=partial(read_queue_records, edges.records),
            now=edges.records.now(),
            last=status.breaker.item,
            cursor=status.cursor,
        )
        found = await fetch_next_card(session, configuration, queue)
    # Not before, because in an outage the check failed and the card is not to blame.
    _note(edges.records, event.document, passed, status.breaker)
    note_cursor(edges.records, found.cursor, status.cursor)
    return _fetched(found, skipped, configuration, occupied)


async def _clear(
    session: GitHubSession, configuration: Configuration, edges: QueueEdges, abandoned: Collection[Holder]
) -> None:
    await report_and_clear_abandoned_runs(
        session, configuration, abandoned, edges.locks, edges.records, edges.stepfunctions
    )


def _raise_if_installation_is_broken(
    event: StepEvent, edges: QueueEdges, passed: SkippedCard | None, breaker: Breaker
) -> None:
    """Raise the failure of a check that opened the breaker, because the runs after this one only end without a card."""
    failure = event.document.failure
    if passed and failure and failure.error == breaker.error and _redrives(event, edges) <= failure.redrive_count:
        raise_by_name(failure.name, failure.reason)


def _note(records: RecordsTable, document: StateDocument, passed: SkippedCard | None, breaker: Breaker) -> None:
    """Record that the card ``passed`` was passed over, unless it is only locked or the installation is to blame."""
    if not passed or not document.failure or not document.item:
        return
    if document.failure.error not in (ScopedLockHeld.__name__, breaker.error):
        note_rejection(records, passed.item, passed.reason, document.item.status_updated_at)


def _fetched(
    found: NextCard, skipped: tuple[SkippedCard, ...], configuration: Configuration, occupied: Occupancy
) -> Fetched:
    fetched = Fetched(
        item=found.item,
        skipped=skipped,
        passed_over=found.passed_over,
        hidden=found.hidden,
        waiting=found.waiting,
        oldest_seconds=found.oldest_seconds,
        builds=occupied.builds,
    )
    if found.item:
        return fetched
    end, reason = _why_no_card(found, skipped, configuration)
    return replace(fetched, end=end, reason=reason)


def _why_no_card(found: NextCard, skipped: tuple[SkippedCard, ...], configuration: Configuration) -> tuple[End, str]:
    status = repr(configuration.target_status_column)
    board = f"on the board {configuration.organization}/{configuration.project_number}"
    numbers = counts(found.passed_over, found.hidden)
    tried = f"{len(skipped)} tried by this run" if skipped else ""
    cards = ", ".join(filter(None, [tried, in_words(numbers)]))
    if not cards:
        return End.NOTHING_TO_DO, with_remedy(f"no card is waiting in {status} {board}", f"move a card to {status}")
    reason = f"no card in {status} {board} can be built now: {cards}"
    if found.cursor:
        reason += "; the run read only a part of the board, and the next run goes on from there"
    remedies = [
        _READ_SKIPPED if skipped or Why.REJECTED in numbers else "",
        "give the token access to the repositories of the cards that it cannot see" if Why.HIDDEN in numbers else "",
        'raise "maxCreditsPerDay" in the configuration parameter, or replay a card'
        if Why.BUDGET_SPENT in numbers
        else "",
    ]
    return End.CARDS_PASSED_OVER, with_remedy(reason, "; ".join(filter(None, remedies)))


def _passed_over(document: StateDocument, execution: str) -> SkippedCard | None:
    """The card that the previous state passed over, and why; ``None`` if the run has only started, or starts over."""
    failure, item = document.failure, document.item
    if failure is None or item is None:
        return None
    if failure.state not in _CHECKS and failure.error != ScopedLockHeld.__name__:
        return None
    return SkippedCard(item.id, shortened(with_environment(failure.reason, execution), _LONGEST_REASON))


def _passed_over_by_pinned_run(event: StepEvent, edges: QueueEdges, passed: SkippedCard) -> SkippedCard | None:
    """The card ``passed`` if the run ends with it; ``None`` if a redrive tries it again.

    A rejected card shows its reason on the board. Any other failure is raised, because nothing else shows it.
    """
    failure: Failure | None = event.document.failure
    if failure is None or event.document.report is not None or failure.error == ScopedLockHeld.__name__:
        return passed
    if _redrives(event, edges) <= failure.redrive_count:
        raise_by_name(failure.name, failure.reason)
    return None


def _redrives(event: StepEvent, edges: QueueEdges) -> int:
    """How often the execution has been redriven."""
    # Uses the larger count: AWS does not document whether the arguments of a redriven Task are evaluated again.
    described = edges.stepfunctions.describe_execution(executionArn=event.execution_arn).get("redriveCount", 0)
    return max(event.redrive_count, described)


def _why_stopped(event: StepEvent, edges: QueueEdges, breaker: Breaker) -> tuple[End, str] | None:
    """Why a run that is not pinned to a card may not go on; ``None`` if it may.

    The redrive of a run that failed in its first step may, because a person has decided to go on.
    """
    if not (breaker.is_paused or breaker.is_open):
        return None
    # Uses only the count in the event, so that a tick that finds the breaker open costs one read and nothing else.
    if event.document.item is None and event.redrive_count:
        return None
    if breaker.is_paused:
        why = f": {breaker.pause_reason}" if breaker.pause_reason else ""
        reason = f"{breaker.paused_by} paused the queue at {time_for_people(breaker.paused_since)}{why}"
        return End.PAUSED, with_environment(with_remedy(reason, _RESUME), event.execution_arn)
    if not elect_probe(edges.records, breaker, event.execution_arn):
        return End.INSTALLATION_UNAVAILABLE, with_environment(_explain(breaker), event.execution_arn)
    return None


def _explain(breaker: Breaker) -> str:
    return (
        f"the installation has failed since {time_for_people(breaker.since)} with {breaker.error}: {breaker.reason}\n"
        f"The first run after {time_for_people(breaker.retry_after)} tries again; after a repair, {_RESUME} lets the"
        " next run do so."
    )
