"""What ``FetchWorkItem`` decides: whether this run may start, which card it passes over, and which one it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from kiro_worker.config.resolve import daily_limit
from kiro_worker.errors import ScopedLockHeld, raise_by_name, with_remedy
from kiro_worker.fetched import MORE_CREDITS, READ_SKIPPED, Fetched, fetched
from kiro_worker.github.next_card import Queue, fetch_next_card
from kiro_worker.github.selection import read_pinned_card
from kiro_worker.lock.occupancy import Occupancy, occupancy
from kiro_worker.names import ANY_NAMES, with_environment
from kiro_worker.records.breaker import Breaker, elect_probe, time_for_people
from kiro_worker.records.cards import note_rejection
from kiro_worker.records.queue import QueueStatus, budget_spent, note_cursor, read_queue_records, read_queue_status
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
_RESUME: Final = f"kiro-worker resume --environment {ANY_NAMES.environment}"
_WAIT: Final = "wait: the run that ends next starts another one; or stop the executions that hold it"
_CHECKS: Final = frozenset({"ValidateWorkItem", "RejectWorkItem"})
"""The states that come before the lock. A card that makes one of them fail must not stop the other cards."""


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
        shown = with_remedy(reason, READ_SKIPPED)
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
    # Ticks look for abandoned runs, once. The runs in between would ask Step Functions about every build after every
    # build, and a tick that tries another card has asked a moment ago.
    abandoned = [] if request.trigger == "chain" or skipped else edges.locks.abandoned(holders)
    occupied = occupancy(configuration, (each for each in holders if each not in abandoned), event.execution_arn)
    full = _why_full(configuration, occupied, status, event.execution_arn)
    if full and event.document.report:
        # The board shows this rejection. Any other failed check is recorded only once GitHub has answered.
        _note(edges.records, event.document, passed, status.breaker)
    if full and not abandoned:
        return replace(full, skipped=skipped)
    async with edges.open_session(configuration) as session:
        await _clear(session, configuration, edges, abandoned)
        if full:
            return replace(full, skipped=skipped)
        queue = Queue(
            skipped=[card.item for card in skipped],
            lock_of=occupied.lock_of,
            read_records=partial(read_queue_records, edges.records, partial(daily_limit, configuration)),
            now=edges.records.now(),
            last=status.breaker.item,
            cursor=status.cursor,
        )
        found = await fetch_next_card(session, configuration, queue)
    # Not before, because in an outage the check failed and the card is not to blame.
    _note(edges.records, event.document, passed, status.breaker)
    note_cursor(edges.records, found.cursor, status.cursor)
    return fetched(found, skipped, configuration, occupied.builds)


def _why_full(configuration: Configuration, occupied: Occupancy, status: QueueStatus, execution: str) -> Fetched | None:
    """The end of a run that can build no card at all, whichever ones are waiting; ``None`` if it can."""
    if occupied.obstacle:
        reason = with_environment(with_remedy(occupied.obstacle, _WAIT), execution)
        return Fetched(end=End.WORK_IN_PROGRESS_ELSEWHERE, reason=reason, builds=occupied.builds)
    limit = configuration.max_credits_per_day
    if limit is not None and status.spent >= limit:
        reason = with_remedy(budget_spent("the installation", status.spent, limit), MORE_CREDITS)
        return Fetched(end=End.CARDS_PASSED_OVER, reason=reason, builds=occupied.builds)
    return None


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
    if failure is None or event.document.report is not None:
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
