"""What happens to the card of a failed run, which depends on who has to act.

A failure of the card or its repository is explained in a comment, and the card goes to the failed status. A failure of
the installation or of a service is not the card's fault: the card goes back to the queue without a comment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.github import pr_comment
from kiro_worker.github.cards import Report, commentable_content, deliver_report, find_card, is_elsewhere, move
from kiro_worker.github.pushed import pushed_before_end, pushed_commit, pushes_of
from kiro_worker.github.readiness import find_pull_request
from kiro_worker.models import RUN_BUILD, BuildResult
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.ownership import owner_of
from kiro_worker.records.breaker import close_breaker, open_breaker
from kiro_worker.records.cards import claim_repeat
from kiro_worker.records.runs import read_summary
from kiro_worker.records.summaries import RunSummary
from kiro_worker.state import CardReport, require

if TYPE_CHECKING:
    from kiro_worker.config.model import Configuration
    from kiro_worker.github.board import Card
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.models import Failure, Work
    from kiro_worker.records.runs import RunRecord
    from kiro_worker.records.table import RecordsTable
    from kiro_worker.state import HeldLock, StateDocument, StepEvent


async def mark_failed(
    session: GitHubSession, configuration: Configuration, event: StepEvent, records: RecordsTable
) -> CardReport:
    """Explain in a comment why the run failed and how to continue, and move the card to the failed status.

    If the failure is not the card's fault, return the card to the queue instead: see :func:`_goes_back`. A card is not
    touched after ``LockLost``, because it belongs to another run, nor in a status that the worker does not manage, such
    as review. If it is not known yet whether the run's work is pushed, this step finds out, and a card whose work is
    pushed goes to review. If the board cannot be read, that error is raised after the comment.
    """
    document = event.document
    failure = require(document.failure, "failure")
    item_id = require(document.item, "item").id
    run = pushes_of(records, event.execution_arn, item_id) if _may_have_pushed(document) else None
    commit = await pushed_commit(session, run, document.work) if run else ""
    if failure.name == Outcome.LOCK_LOST and not commit:
        return CardReport("", comment_url="")
    goes_back = not commit and _goes_back(event, failure, records)
    needed = configuration.target_status_column if goes_back else configuration.failed_status
    needed = configuration.review_status if commit else needed
    found = await find_card(session, configuration, item_id, [needed])
    is_reported = not commit or (found.card and found.card.item.status == configuration.review_status)
    if found.card and is_elsewhere(found.card, configuration) and is_reported:
        return CardReport(found.card.item.status, comment_url="")
    if goes_back:
        found.require_board()
        return await return_to_queue(session, configuration, found.card)
    if run and commit:
        report = await report_pushed(session, configuration, found.card, run, commit, ended_as=failure.name)
    else:
        report = await report_failure(
            session,
            configuration,
            found.card,
            failure,
            event.execution_arn,
            work=document.work,
            held=document.held,
            build=document.build,
            summary=read_summary(records, event.execution_arn),
        )
    found.require_board()
    return report


async def return_to_queue(session: GitHubSession, configuration: Configuration, card: Card | None) -> CardReport:
    """Move the card from the in-progress status to the target status, without a comment. Any other status is kept."""
    allowed = [configuration.in_progress_status]
    return CardReport(await move(session, card, configuration.target_status_column, allowed) if card else "")


def _goes_back(event: StepEvent, failure: Failure, records: RecordsTable) -> bool:
    """Whether the card goes back to the queue, because the failure is not its own. Records what the failure shows.

    A failure of the installation opens the breaker first, so that no other card is taken. A failure of a service is
    tried again once per card and head commit, and so is one of the installation if the agent has worked. The card of
    an execution that was ended from outside does not go back, because a person decides what comes next.
    """
    document = event.document
    if document.held is not None:
        return False
    # If ReadBuildResult failed, only the failure's own cause describes the last build.
    owner, last = owner_of(failure), failure.build
    build = last or document.build
    if owner in (FaultOwner.CARD, FaultOwner.REPOSITORY) and failure.state == RUN_BUILD and document.lease:
        close_breaker(records, event.execution_arn, document.lease.fence / 1000)
    if owner is FaultOwner.INSTALLATION:
        item_id, retry_after = require(document.item, "item").id, build.retry_after if build else 0
        open_breaker(records, failure.name, failure.reason, item_id, retry_after)
        if not (build and build.agent_has_worked):
            return True
    if owner not in (FaultOwner.INSTALLATION, FaultOwner.SERVICE) or _may_move_late(failure):
        return False
    item_id, commit = require(document.item, "item").id, document.work.commit if document.work else ""
    # After a repeat that did not start, `build` still describes the first build, which has had its other attempt.
    known = build.build_id if build and (last or not document.repeat) else ""
    return claim_repeat(records, item_id, commit, known or f"{event.execution_arn}#{event.redrive_count}")


async def report_pushed(
    session: GitHubSession,
    configuration: Configuration,
    card: Card | None,
    run: RunRecord,
    commit: str,
    *,
    ended_as: str,
) -> CardReport:
    """Comment that ``commit`` of an ended run is on its branch, and move the card to the review status.

    The run ended as ``ended_as`` before it could say so itself, so its record is all that is known.
    """
    build = BuildResult(commit=commit, reason=pushed_before_end(ended_as))
    body = pr_comment.succeeded(configuration, run.branch, build, run.execution, summary=run.summary)
    pull_request_id = await find_pull_request(session, configuration, run.repository, run.branch)
    subject_id = pull_request_id or commentable_content(card)
    report = Report(subject_id, body, run.execution, configuration.review_status, commit, keeps_success=True)
    return CardReport(*await deliver_report(session, configuration, card, report), commit)


async def report_failure(
    session: GitHubSession,
    configuration: Configuration,
    card: Card | None,
    failure: Failure,
    execution_arn: str,
    *,
    work: Work | None = None,
    held: HeldLock | None = None,
    build: BuildResult | None = None,
    summary: RunSummary | None = None,
) -> CardReport:
    """Comment on the card's pull request, or on the card if there is none, and move it to the failed status.

    The pull request is the one of ``work``, or of the branch that ``held`` names. ``build`` is the failed build,
    and ``summary`` is what the run did until then.
    """
    if work:
        pull_request_id = work.pull_request_id
    else:
        branch = (held.repository, held.branch) if held else ("", "")
        pull_request_id = await find_pull_request(session, configuration, *branch)
    subject_id = pull_request_id or commentable_content(card)
    body = pr_comment.failed(configuration, failure, execution_arn, build, summary=summary or RunSummary())
    report = Report(subject_id, body, execution_arn, configuration.failed_status)
    return CardReport(*await deliver_report(session, configuration, card, report))


def _may_move_late(failure: Failure) -> bool:
    """Whether MarkInProgress may still run, so that it could move the card to in progress after the run has ended.

    It does so only from the status in which the card was selected. The function's own errors have no dot in their name.
    """
    return failure.state == "MarkInProgress" and "." in failure.error


def _may_have_pushed(document: StateDocument) -> bool:
    """Whether the run may have pushed unnoticed: it was ended from outside, or ReadBuildResult failed.

    After a repeat, ``build`` may still describe the first build.
    """
    in_build = document.failure is not None and document.failure.state == RUN_BUILD
    return document.held is not None or (in_build and (document.build is None or document.repeat))
