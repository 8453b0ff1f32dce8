"""The moves of a card that is built, or waits for its build: in progress, in review, back to the queue.

:mod:`~kiro_worker.github.failed_cards` and :mod:`~kiro_worker.github.rejection` have the others.

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
from kiro_worker.github.review import review_notes
from kiro_worker.records.breaker import close_breaker
from kiro_worker.records.runs import read_summary
from kiro_worker.state import CardReport, require

if TYPE_CHECKING:
    from collections.abc import Collection

    from kiro_worker.config.model import Configuration
    from kiro_worker.errors import KiroWorkerError
    from kiro_worker.github.board import Card
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.records.table import RecordsTable
    from kiro_worker.state import StepEvent


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


async def wait_in_queue(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
    """Move the card to the target status, because this run found the lock held and the queue has to take the card.

    A card that a person moved out of the statuses that the worker manages stays where it is, and so does one that came
    to the in-progress status after this run had selected it: the queue has taken it since.
    """
    item, target = require(event.document.item, "item"), configuration.target_status_column
    found = await find_card(session, configuration, item.id, [target])
    found.require_board()
    allowed = {*managed_statuses(configuration)} - {configuration.in_progress_status} | {item.status}
    return CardReport(await move(session, found.card, target, allowed) if found.card else "")


async def mark_in_review(
    session: GitHubSession, configuration: Configuration, event: StepEvent, records: RecordsTable
) -> CardReport:
    """Comment on the pull request, and move the card to the review status.

    A card that a person archived, or moved out of the statuses that the worker manages, stays where it is. If the board
    cannot be read, that error is raised after the comment, which does not depend on it. A build that pushed proves that
    the installation works, so this closes the breaker.
    """
    if event.document.lease:
        close_breaker(records, event.execution_arn, event.document.lease.fence / 1000)
    item, work = require(event.document.item, "item"), require(event.document.work, "work")
    build = require(event.document.build, "build")
    found = await find_card(session, configuration, item.id, [configuration.review_status])
    notes = await review_notes(session, work)
    body = pr_comment.succeeded(
        configuration,
        work.branch,
        build,
        event.execution_arn,
        notes,
        summary=read_summary(records, event.execution_arn),
        pull_request_url=work.pull_request_url,
    )
    report = Report(work.pull_request_id, body, event.execution_arn, configuration.review_status, build.commit)
    status, url = await deliver_report(session, configuration, found.card, report)
    found.require_board()
    if found.card is None:
        notes = (*notes, "The card no longer exists, or the token no longer sees it.")
    return CardReport(status, url, build.commit, notes)


@dataclass(frozen=True)
class FoundCard:
    """A card; ``None`` if it no longer exists, or if the board cannot be read, which ``unreadable`` explains."""

    card: Card | None
    unreadable: KiroWorkerError | None = None

    def require_board(self) -> None:
        if self.unreadable:
            raise self.unreadable


async def find_card(
    session: GitHubSession, configuration: Configuration, item_id: str, needed: Collection[str | None]
) -> FoundCard:
    try:
        return FoundCard(await read_card(session, configuration, item_id, needed))
    except WorkItemNotFound:
        return FoundCard(None)
    except (ConfigurationError, GitHubForbidden, GitHubScopesInsufficient) as error:
        return FoundCard(None, error)


@dataclass(frozen=True)
class Report:
    """A comment on the subject, which may be empty, and the status that goes with it.

    ``implemented`` is the commit whose implementation it reports. With ``keeps_success``, a comment that already
    reports that commit stays as it is, because it has more details.
    """

    subject_id: str
    body: str
    execution: str
    status: str | None
    implemented: str = ""
    keeps_success: bool = False


async def deliver_report(
    session: GitHubSession, configuration: Configuration, card: Card | None, report: Report
) -> tuple[str, str]:
    """Comment, and move the card if there is one. Return its status and the comment's URL.

    Neither depends on the other: if GitHub refuses the comment, that error is raised after the move.
    """
    url, refused = "", None
    try:
        if report.subject_id:
            url = await put_comment(
                session,
                report.subject_id,
                report.body,
                report.execution,
                implemented=report.implemented,
                keeps_success=report.keeps_success,
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


def is_elsewhere(card: Card, configuration: Configuration) -> bool:
    return card.archived or card.item.status not in managed_statuses(configuration)


def commentable_content(card: Card | None) -> str:
    """The ID of the card's issue or pull request; empty for a draft, which has no comments."""
    return card.item.content_id if card and card.item.content_type in ("Issue", "PullRequest") else ""
