"""What ``FetchWorkItem`` decides: whether this run may start, which card it passes over, and which one it takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.document import Document
from kiro_worker.errors import ScopedLockHeld, raise_by_name, with_remedy
from kiro_worker.github.board import REJECTED_SECONDS, NextCard, Queue, fetch_next_card
from kiro_worker.github.selection import read_pinned_card
from kiro_worker.names import ANY_NAMES, with_environment
from kiro_worker.records.breaker import Breaker, elect_probe, read_breaker, time_for_people
from kiro_worker.records.cards import note_rejection, read_rejections
from kiro_worker.recovery import report_and_clear_abandoned_runs
from kiro_worker.redaction import shortened
from kiro_worker.state import End, SkippedCard

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from mypy_boto3_stepfunctions import SFNClient

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.github.selection import ExecutionInput
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
_MOVE_AGAIN: Final = "A corrected card is taken at once if it is moved out of the target status and back"
_RESUME: Final = f"kiro-worker resume --environment {ANY_NAMES.environment}"
_CHECKS: Final = frozenset({"ValidateWorkItem", "RejectWorkItem"})
"""The states that come before the lock. A card that makes one of them fail must not stop the other cards."""


@dataclass(frozen=True)
class Fetched(Document):
    """The card to work on, or the ``end`` and the ``reason`` of the run.

    ``pinned`` says that the input or a redrive named the card. ``hidden`` counts the cards before it that the token may
    not see.
    """

    item: WorkItem | None = None
    pinned: bool = False
    skipped: tuple[SkippedCard, ...] = ()
    end: End | None = None
    reason: str = ""
    hidden: int = 0

    def to_dict(self) -> dict[str, Any]:
        item = self.item.to_dict() if self.item else None
        return {**super().to_dict(), "item": item, "skipped": [card.to_dict() for card in self.skipped]}


@dataclass(frozen=True)
class QueueEdges:
    """The services that this step asks. ``open_session`` is called only if the run may start."""

    locks: LockTable
    records: RecordsTable
    stepfunctions: SFNClient
    open_session: Callable[[], AbstractAsyncContextManager[tuple[GitHubSession, Configuration]]]


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
            return Fetched(skipped=(passed,), end=End.NOTHING_TO_DO, reason=reason)
    skipped = (*document.skipped, *([passed] if passed else []))
    pinned = request.item_id if passed or document.item is None else document.item.id
    breaker = read_breaker(edges.records) if pinned is None else Breaker()
    if pinned is None:
        _raise_if_installation_is_broken(event, edges, passed, breaker)
        if stopped := _why_stopped(event, edges, breaker):
            end, reason = stopped
            return Fetched(skipped=skipped, end=end, reason=reason)
        if len(skipped) >= MAX_SKIPPED:
            _note(edges.records, document, passed, breaker)
            reason = f"the run passed over {len(skipped)} cards; the next run looks at the others"
            remedy = f'read each card\'s reason under "skipped" in the output of FetchWorkItem. {_MOVE_AGAIN}'
            return Fetched(skipped=skipped, end=End.CARDS_PASSED_OVER, reason=with_remedy(reason, remedy))
    async with edges.open_session() as (session, configuration):
        await report_and_clear_abandoned_runs(session, configuration, edges.locks, edges.records, edges.stepfunctions)
        if pinned is not None:
            card = await read_pinned_card(session, configuration, pinned)
            return Fetched(item=card, pinned=True, skipped=skipped)
        rejections = partial(read_rejections, edges.records)
        queue = Queue([card.item for card in skipped], rejections, edges.records.now(), last=breaker.item)
        found = await fetch_next_card(session, configuration, queue)
    # Not before, because in an outage the check failed and the card is not to blame.
    _note(edges.records, document, passed, breaker)
    return _fetched(found, skipped, configuration)


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


def _fetched(found: NextCard, skipped: tuple[SkippedCard, ...], configuration: Configuration) -> Fetched:
    if found.item:
        return Fetched(item=found.item, skipped=skipped, hidden=found.hidden)
    card, status = "no other card" if skipped else "no card", repr(configuration.target_status_column)
    board = f"the board {configuration.organization}/{configuration.project_number}"
    reason, remedy = f"{card} is waiting in {status} on {board}", f"move a card to {status}"
    if found.rejected:
        reason = (
            f"{card} in {status} can be taken yet: {found.rejected} rejected in the last {REJECTED_SECONDS // 60}"
            f" minutes and not moved since, on {board}"
        )
        remedy = f"follow the comments on the cards. {_MOVE_AGAIN}"
    if found.hidden:
        reason += f"; the token cannot see the issue or pull request of {found.hidden} cards"
        remedy += "; give the token access to the repositories of the cards that it cannot see"
    shown = with_remedy(reason, remedy)
    return Fetched(skipped=skipped, end=End.NOTHING_TO_DO, reason=shown, hidden=found.hidden)


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
