"""The moves of a card that is built: in progress, in review, failed. See :mod:`kiro_worker.github.rejection`, too.

Each move reads the card first and writes only what is missing, so that it is safe to repeat. None of them undoes a
move that a person made in the meantime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiro_worker.errors import (
    ConfigurationError,
    GitHubForbidden,
    GitHubRefused,
    GitHubScopesInsufficient,
    WorkItemMoved,
    WorkItemNotFound,
)
from kiro_worker.github import pr_comment
from kiro_worker.github.board import managed_statuses, read_card, set_status
from kiro_worker.github.comments import put_comment
from kiro_worker.github.pushed import pushed_before_end, pushed_commit, pushes_of
from kiro_worker.github.readiness import find_pull_request
from kiro_worker.github.review import review_notes
from kiro_worker.models import RUN_BUILD, BuildResult
from kiro_worker.outcomes import Outcome
from kiro_worker.state import CardReport, require

if TYPE_CHECKING:
    from collections.abc import Collection

    from kiro_worker.config.model import Configuration
    from kiro_worker.errors import KiroWorkerError
    from kiro_worker.github.board import Card
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.models import Failure, Work
    from kiro_worker.records.runs import RunRecord
    from kiro_worker.records.table import RecordsTable
    from kiro_worker.state import HeldLock, StateDocument, StepEvent


async def mark_in_progress(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
    """Read the card again, now under the lock, and move it to the in-progress status.

    Raises :class:`WorkItemMoved` if the card has left the status in which it was selected. An execution that is
    redriven after an abort finds its card in the failed status, where the clean-up put it, and continues.
    """
    selected = require(event.document.item, "item")
    card = await read_card(session, configuration, selected.id, [configuration.in_progress_status])
    movable = {selected.status, configuration.failed_status if event.redrive_count else selected.status}
    if card.archived or card.item.status not in movable | {configuration.in_progress_status}:
        now = "archived" if card.archived else f"in {card.item.status!r}"
        raise WorkItemMoved(
            f"the card was in {selected.status!r} when it was selected, and is now {now}",
            "nothing to fix: the person who moved the card decides where it stays",
        )
    return CardReport(await move(session, card, configuration.in_progress_status, movable))


async def mark_in_review(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
    """Comment on the pull request, and move the card to the review status.

    A card that a person archived, or moved out of the statuses that the worker manages, stays where it is. If the board
    cannot be read, that error is raised after the comment, which does not depend on it.
    """
    item, work = require(event.document.item, "item"), require(event.document.work, "work")
    build = require(event.document.build, "build")
    found = await _find_card(session, configuration, item.id, [configuration.review_status])
    notes = await review_notes(session, work)
    body = pr_comment.succeeded(work.branch, build, event.execution_arn, notes)
    report = _Report(work.pull_request_id, body, event.execution_arn, configuration.review_status, build.commit)
    status, url = await _give(session, configuration, found.card, report)
    found.require_board()
    if found.card is None:
        notes = (*notes, "The card no longer exists, or the token no longer sees it.")
    return CardReport(status, url, build.commit, notes)


async def mark_failed(
    session: GitHubSession, configuration: Configuration, event: StepEvent, records: RecordsTable
) -> CardReport:
    """Explain in a comment why the run failed and how to continue, and move the card to the failed status.

    A card is not touched after ``LockLost``, because it belongs to another run, nor in a status that the worker does
    not manage, such as review. If it is not known yet whether the run's work is pushed, this step finds out, and a card
    whose work is pushed goes to review. If the board cannot be read, that error is raised after the comment.
    """
    document = event.document
    failure = require(document.failure, "failure")
    item_id = require(document.item, "item").id
    run = pushes_of(records, event.execution_arn, item_id) if _may_have_pushed(document) else None
    commit = await pushed_commit(session, run, document.work) if run else ""
    if failure.name == Outcome.LOCK_LOST and not commit:
        return CardReport("", comment_url="")
    needed = configuration.review_status if commit else configuration.failed_status
    found = await _find_card(session, configuration, item_id, [needed])
    is_reported = not commit or (found.card and found.card.item.status == configuration.review_status)
    if found.card and is_elsewhere(found.card, configuration) and is_reported:
        return CardReport(found.card.item.status, comment_url="")
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
        )
    found.require_board()
    return report


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

    The run ended as ``ended_as`` before it could say so itself, so the commit is all that is known.
    """
    build = BuildResult(commit=commit, reason=pushed_before_end(ended_as))
    body = pr_comment.succeeded(run.branch, build, run.execution)
    pull_request_id = await find_pull_request(session, configuration, run.repository, run.branch)
    subject_id = pull_request_id or commentable_content(card)
    report = _Report(subject_id, body, run.execution, configuration.review_status, commit)
    return CardReport(*await _give(session, configuration, card, report), commit)


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
) -> CardReport:
    """Comment on the card's pull request, or on the card if there is none, and move it to the failed status.

    The pull request is the one of ``work``, or of the branch that ``held`` names. ``build`` is the failed build.
    """
    if work:
        pull_request_id = work.pull_request_id
    else:
        branch = (held.repository, held.branch) if held else ("", "")
        pull_request_id = await find_pull_request(session, configuration, *branch)
    subject_id = pull_request_id or commentable_content(card)
    body = pr_comment.failed(configuration, failure, execution_arn, build)
    report = _Report(subject_id, body, execution_arn, configuration.failed_status)
    return CardReport(*await _give(session, configuration, card, report))


@dataclass(frozen=True)
class _FoundCard:
    """A card; ``None`` if it no longer exists, or if the board cannot be read, which ``unreadable`` explains."""

    card: Card | None
    unreadable: KiroWorkerError | None = None

    def require_board(self) -> None:
        if self.unreadable:
            raise self.unreadable


async def _find_card(
    session: GitHubSession, configuration: Configuration, item_id: str, needed: Collection[str | None]
) -> _FoundCard:
    try:
        return _FoundCard(await read_card(session, configuration, item_id, needed))
    except WorkItemNotFound:
        return _FoundCard(None)
    except (ConfigurationError, GitHubForbidden, GitHubScopesInsufficient) as error:
        return _FoundCard(None, error)


@dataclass(frozen=True)
class _Report:
    """A comment on the subject, which may be empty, and the status that goes with it."""

    subject_id: str
    body: str
    execution: str
    status: str | None
    implemented: str = ""


async def _give(
    session: GitHubSession, configuration: Configuration, card: Card | None, report: _Report
) -> tuple[str, str]:
    """Comment, and move the card if there is one. Return its status and the comment's URL.

    Neither depends on the other: if GitHub refuses the comment, that error is raised after the move.
    """
    url, refused = "", None
    try:
        if report.subject_id:
            url = await put_comment(
                session, report.subject_id, report.body, report.execution, implemented=report.implemented
            )
    except (GitHubForbidden, GitHubRefused) as error:
        refused = error
    status = await move(session, card, report.status, managed_statuses(configuration)) if card else ""
    if refused:
        raise refused
    return status, url


async def move(session: GitHubSession, card: Card, target: str | None, allowed: Collection[str | None]) -> str:
    """Move the card if its status is one of ``allowed``, and return its status afterwards."""
    if target is None or card.archived or card.item.status == target or card.item.status not in allowed:
        return card.item.status
    await set_status(session, card, target)
    return target


def _may_have_pushed(document: StateDocument) -> bool:
    """Whether the run may have pushed unnoticed: it was ended from outside, or ReadBuildResult failed.

    After a repeat, ``build`` may still describe the first build.
    """
    in_build = document.failure is not None and document.failure.state == RUN_BUILD
    return document.held is not None or (in_build and (document.build is None or document.repeat))


def is_elsewhere(card: Card, configuration: Configuration) -> bool:
    return card.archived or card.item.status not in managed_statuses(configuration)


def commentable_content(card: Card | None) -> str:
    """The ID of the card's issue or pull request; empty for a draft, which has no comments."""
    return card.item.content_id if card and card.item.content_type in ("Issue", "PullRequest") else ""
