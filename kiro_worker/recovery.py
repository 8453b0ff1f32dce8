"""Recovery from runs that ended without updating their card or freeing their lock.

No Catch handles an abort, the state machine's own timeout or ``States.Runtime``. The clean-up state machine usually
cleans up after them; the step ``FetchWorkItem`` does so for the remaining runs before it selects a card.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from kiro_worker.errors import GitHubForbidden, GitHubRefused, WorkItemNotFound
from kiro_worker.github.board import read_card
from kiro_worker.github.cards import report_failure, report_pushed
from kiro_worker.github.pushed import pushed_commit, pushes_of
from kiro_worker.lock.owner import ending_of
from kiro_worker.models import Failure
from kiro_worker.state import HeldLock

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.lock.item import Holder
    from kiro_worker.lock.table import LockTable
    from kiro_worker.records.table import RecordsTable


async def report_and_clear_abandoned_runs(
    session: GitHubSession,
    configuration: Configuration,
    locks: LockTable,
    records: RecordsTable,
    stepfunctions: SFNClient,
) -> None:
    """Report every abandoned run on its card, and free its lock."""
    for holder in locks.abandoned():
        execution = holder.owner or holder.report_pending
        error, cause = ending_of(stepfunctions, execution)
        failure = Failure(error=error or "Unknown", cause=cause)
        await report_abandoned_run(session, configuration, records, holder, execution, failure)
        locks.clear_abandoned(holder)


async def report_abandoned_run(
    session: GitHubSession,
    configuration: Configuration,
    records: RecordsTable,
    holder: Holder,
    execution: str,
    failure: Failure,
) -> None:
    """Move the card of an ended run from in progress to the failed status, and comment why the run failed.

    If its record and the server's ref show that its work is pushed, the card goes to the review status instead.
    A card in any other status has already been reported or was moved by a person, and is not touched. A card that
    cannot be moved or commented on must not fail the current run, which works on another card.
    """
    subject = holder.subject
    if not subject.work_item_id:
        return
    try:
        card = await read_card(session, configuration, subject.work_item_id)
    except WorkItemNotFound:
        return
    if card.archived or card.item.status != configuration.in_progress_status:
        return
    held = HeldLock(holder.lock_key, subject.work_item_id, subject.repository, subject.branch)
    run = pushes_of(records, execution, subject.work_item_id)
    # This applies to LockLost too: the lock still names the ended run, so the card belongs to no other run.
    with suppress(GitHubForbidden, GitHubRefused):
        if run and (commit := await pushed_commit(session, run)):
            await report_pushed(session, configuration, card, run, commit, ended_as=failure.name)
            return
        await report_failure(session, configuration, card, failure, execution, held=held)
