"""Recovery from runs that ended without updating their card or freeing their lock.

No Catch handles an abort, the state machine's own timeout or ``States.Runtime``. The clean-up state machine usually
cleans up after them; the step ``FetchWorkItem`` does so for the remaining runs before it selects a card.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from kiro_worker.errors import GitHubAnswerInvalid, GitHubForbidden, GitHubRefused, WorkItemNotFound
from kiro_worker.github.board import read_card
from kiro_worker.github.failed_cards import report_failure, report_pushed, return_to_queue
from kiro_worker.github.pushed import pushed_commit, pushes_of
from kiro_worker.lock.owner import ending_of
from kiro_worker.models import Failure
from kiro_worker.outcomes import FaultOwner
from kiro_worker.ownership import owner_of
from kiro_worker.records.cards import claim_repeat
from kiro_worker.records.runs import read_run, read_summary
from kiro_worker.state import HeldLock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_stepfunctions import SFNClient

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.lock.item import Holder
    from kiro_worker.lock.table import LockTable
    from kiro_worker.records.table import RecordsTable


async def report_and_clear_abandoned_runs(
    session: GitHubSession,
    configuration: Configuration,
    abandoned: Iterable[Holder],
    locks: LockTable,
    records: RecordsTable,
    stepfunctions: SFNClient,
) -> None:
    """Report each of the ``abandoned`` runs on its card, and free its lock."""
    for holder in abandoned:
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

    If its record and the server's ref show that its work is pushed, the pull request gets the report, and a card that
    nobody has moved goes to the review status instead. After a failure of the installation, the card goes back to the
    queue, unless its agent was started and it has had its other attempt. In any other status it has already been
    reported or was moved by a person, and is not touched. A card that cannot be moved or commented on must not fail the
    current run, which works on another card.
    """
    subject = holder.subject
    if not subject.work_item_id:
        return
    held = HeldLock(holder.lock_key, subject.work_item_id, subject.repository, subject.branch)
    run = pushes_of(records, execution, subject.work_item_id)
    # This applies to LockLost too: the lock still names the ended run, so the card belongs to no other run.
    with suppress(WorkItemNotFound, GitHubAnswerInvalid, GitHubForbidden, GitHubRefused):
        card = await read_card(session, configuration, subject.work_item_id)
        commit = await pushed_commit(session, run) if run else ""
        if run and commit:
            await report_pushed(session, configuration, card, run, commit, ended_as=failure.name)
        elif not card.archived and card.item.status == configuration.in_progress_status:
            if owner_of(failure) is FaultOwner.INSTALLATION and _may_repeat(records, subject.work_item_id, execution):
                await return_to_queue(session, configuration, card)
            else:
                summary = read_summary(records, execution)
                await report_failure(session, configuration, card, failure, execution, held=held, summary=summary)


def _may_repeat(records: RecordsTable, work_item_id: str, execution: str) -> bool:
    """Whether the card may be built again at the commit at which ``execution`` started the agent, if it started it."""
    run = read_run(records, execution)
    return not (run and run.started_from) or claim_repeat(records, work_item_id, run.started_from, execution)
