"""The four moves of a card: rejected, in progress, in review, failed. Each reads the card first and writes only what
is still to be written, so that each is safe to run twice; and none overrules a person who moved the card meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kiro_worker.errors import WorkItemInvalid, WorkItemMoved
from kiro_worker.github import report
from kiro_worker.github.board import read_card, set_status
from kiro_worker.github.comments import put_comment
from kiro_worker.github.work import validate_branch
from kiro_worker.models import BuildResult, Failure, Work, WorkItem, cause_message

if TYPE_CHECKING:
    from collections.abc import Collection

    from kiro_worker.config import Configuration
    from kiro_worker.github.board import Card
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.models import StepEvent


async def reject(session: GitHubSession, configuration: Configuration, event: StepEvent) -> dict[str, Any]:
    """Say on the card, and on the pull request if the branch has one, what is missing; then move it to the blocked
    status.
    """
    card = await read_card(session, configuration, _item_id(event))
    body = report.rejected(
        configuration, cause_message(Failure.from_dict(event.document["failure"]).cause), event.execution_arn
    )
    url = await put_comment(session, card.item.content_id, body, event.execution_arn) if _has_comments(card) else ""
    workable = {
        configuration.target_status_column,
        configuration.in_progress_status,
        configuration.failed_status,
    }
    status = await _move(session, card, configuration.blocked_status, {status for status in workable if status})
    return {"status": status, "commentUrl": url}


async def mark_in_progress(session: GitHubSession, configuration: Configuration, event: StepEvent) -> dict[str, Any]:
    """Read the card again under the lock and move it; :class:`WorkItemMoved` when it is not where it was selected."""
    card = await read_card(session, configuration, _item_id(event))
    selected = WorkItem.from_dict(event.document["item"]).status
    if card.archived or card.item.status not in (selected, configuration.in_progress_status):
        now = "archived" if card.archived else f"in {card.item.status!r}"
        raise WorkItemMoved(
            f"the card was in {selected!r} when it was selected and is {now} now",
            "nothing: whoever moved it meant it",
        )
    return {"status": await _move(session, card, configuration.in_progress_status, {selected})}


async def mark_in_review(session: GitHubSession, configuration: Configuration, event: StepEvent) -> dict[str, Any]:
    """Move the card to review and write the report; a card that somebody took elsewhere stays there, the report is
    written all the same.
    """
    card = await read_card(session, configuration, _item_id(event))
    work, build = Work.from_dict(event.document["work"]), BuildResult.from_document(event.document["build"])
    status = await _move(session, card, configuration.review_status, _ours(configuration))
    url = await put_comment(
        session, work.pull_request_id, report.succeeded(work, build, event.execution_arn), event.execution_arn
    )
    return {"status": status, "commentUrl": url, "commit": build.commit}


async def mark_failed(session: GitHubSession, configuration: Configuration, event: StepEvent) -> dict[str, Any]:
    """Move the card to the failed status and say why and how to go on. After ``LockLost`` it is somebody else's:
    nothing is touched.
    """
    failure = Failure.from_dict(event.document["failure"])
    if report.lost_the_lock(failure):
        return {"status": "", "commentUrl": ""}
    card = await read_card(session, configuration, _item_id(event))
    status = await _move(
        session, card, configuration.failed_status, _ours(configuration) - {configuration.failed_status or ""}
    )
    subject = await _pull_request_id(session, configuration, event) or (
        card.item.content_id if _has_comments(card) else ""
    )
    body = report.failed(configuration, failure, event.execution_arn)
    url = await put_comment(session, subject, body, event.execution_arn) if subject else ""
    return {"status": status, "commentUrl": url}


async def _move(session: GitHubSession, card: Card, target: str | None, allowed: Collection[str]) -> str:
    """Move the card if it stands in one of ``allowed``; the status it has afterwards."""
    if target is None or card.archived or card.item.status == target or card.item.status not in allowed:
        return card.item.status
    await set_status(session, card, target)
    return target


def _ours(configuration: Configuration) -> set[str]:
    """The statuses between which this system itself moves a card while it works."""
    named = (
        configuration.target_status_column,
        configuration.in_progress_status,
        configuration.failed_status,
        configuration.blocked_status,
    )
    return {status for status in named if status is not None}


async def _pull_request_id(session: GitHubSession, configuration: Configuration, event: StepEvent) -> str:
    """The pull request of the work; after an abort, of the branch that the lock names."""
    if work := event.document.get("work"):
        return Work.from_dict(work).pull_request_id
    held = event.document.get("held")
    if not held or not held["branch"]:
        return ""
    try:
        return (await validate_branch(session, configuration, held["repository"], held["branch"])).pull_request_id
    except WorkItemInvalid:
        return ""


def _item_id(event: StepEvent) -> str:
    return str(event.document["item"]["id"])


def _has_comments(card: Card) -> bool:
    return card.item.content_type in ("Issue", "PullRequest")
