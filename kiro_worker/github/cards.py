"""The four moves of a card: rejected, in progress, in review, failed. Each reads the card first and writes only what
is still to be written, so that each is safe to run twice; and none overrules a person who moved the card meanwhile.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kiro_worker.errors import GitHubForbidden, GitHubRefused, WorkItemMoved, WorkItemNotFound
from kiro_worker.github import pr_comment
from kiro_worker.github.board import read_card, set_status
from kiro_worker.github.comments import put_comment
from kiro_worker.github.readiness import find_pull_request
from kiro_worker.models import BuildResult, Failure, StepEvent, Work, WorkItem
from kiro_worker.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection

    from kiro_worker.config import Configuration
    from kiro_worker.github.board import Card
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.lock.item import Holder


async def reject(session: GitHubSession, configuration: Configuration, event: StepEvent) -> dict[str, Any]:
    """Move the card to the blocked status, and say on it and on its branch's pull request what is missing.

    It is moved first: in a repository that is archived or closed to us nothing can be said, and a card that stays in
    its place would be the first of the queue on every tick. A card that somebody took elsewhere is left alone.
    """
    card = await read_card(session, configuration, _item_id(event))
    if _is_taken_elsewhere(card, configuration):
        return {"status": card.item.status, "commentUrl": ""}
    status = await _move(session, card, configuration.blocked_status, managed_statuses(configuration))
    body = pr_comment.rejected(Failure.from_dict(event.document["failure"]).reason, event.execution_arn)
    item = WorkItem.from_dict(event.document["item"])
    pull_request = await find_pull_request(session, configuration, item.repository, item.branch)
    subjects = dict.fromkeys([card.item.content_id if _has_comments(card) else "", pull_request])
    url = ""
    for subject in filter(None, subjects):
        with suppress(GitHubForbidden, GitHubRefused):
            url = await put_comment(session, subject, body, event.execution_arn) or url
    return {"status": status, "commentUrl": url}


async def mark_in_progress(session: GitHubSession, configuration: Configuration, event: StepEvent) -> dict[str, Any]:
    """Read the card again under the lock and move it; :class:`WorkItemMoved` when it is not where it was selected.

    Redriven after an abort, the execution finds the card where its own clean-up has put it, and goes on.
    """
    card = await read_card(session, configuration, _item_id(event))
    selected = WorkItem.from_dict(event.document["item"]).status
    movable = {selected, configuration.failed_status if event.redrive_count else selected}
    if card.archived or card.item.status not in movable | {configuration.in_progress_status}:
        now = "archived" if card.archived else f"in {card.item.status!r}"
        raise WorkItemMoved(
            f"the card was in {selected!r} when it was selected and is {now} now",
            "nothing: whoever moved it meant it",
        )
    return {"status": await _move(session, card, configuration.in_progress_status, movable)}


async def mark_in_review(session: GitHubSession, configuration: Configuration, event: StepEvent) -> dict[str, Any]:
    """Move the card to review and write the report; a card that somebody took elsewhere stays there, the report is
    written all the same.
    """
    card = await read_card(session, configuration, _item_id(event))
    work, build = Work.from_dict(event.document["work"]), BuildResult.from_document(event.document["build"])
    status = await _move(session, card, configuration.review_status, managed_statuses(configuration))
    url = await put_comment(
        session, work.pull_request_id, pr_comment.succeeded(work, build, event.execution_arn), event.execution_arn
    )
    return {"status": status, "commentUrl": url, "commit": build.commit}


async def mark_failed(session: GitHubSession, configuration: Configuration, event: StepEvent) -> dict[str, Any]:
    """Move the card to the failed status and say why and how to go on. After ``LockLost`` it is somebody else's, and
    in review or elsewhere it is finished, by this run or another: nothing is touched.
    """
    failure = Failure.from_dict(event.document["failure"])
    if failure.name == Outcome.LOCK_LOST:
        return {"status": "", "commentUrl": ""}
    card = await read_card(session, configuration, _item_id(event))
    if _is_taken_elsewhere(card, configuration):
        return {"status": card.item.status, "commentUrl": ""}
    return await report_failure(session, configuration, event, failure, card)


async def report_failure(
    session: GitHubSession, configuration: Configuration, event: StepEvent, failure: Failure, card: Card
) -> dict[str, Any]:
    status = await _move(
        session,
        card,
        configuration.failed_status,
        managed_statuses(configuration) - {configuration.failed_status or ""},
    )
    subject = await _pull_request_id(session, configuration, event) or (
        card.item.content_id if _has_comments(card) else ""
    )
    repository = pr_comment.repository_url(str((event.document.get("work") or {}).get("pullRequestUrl", "")))
    body = pr_comment.failed(configuration, failure, event.execution_arn, repository)
    url = await put_comment(session, subject, body, event.execution_arn) if subject else ""
    return {"status": status, "commentUrl": url}


async def report_abandoned_run(
    session: GitHubSession, configuration: Configuration, holder: Holder, execution: str, failure: Failure
) -> None:
    """A run has ended and its card does not say so: move the card from in progress to the failed status, and say why.
    A card that stands anywhere else has been told, or moved by a person, or is gone: nothing is touched. One that
    cannot be moved or commented on must not end the run that has come for another.
    """
    if not holder.subject.work_item_id:
        return
    try:
        card = await read_card(session, configuration, holder.subject.work_item_id)
    except WorkItemNotFound:
        return
    if card.archived or card.item.status != configuration.in_progress_status:
        return
    document = {
        "item": card.item.to_dict(),
        "held": {"repository": holder.subject.repository, "branch": holder.subject.branch},
        "failure": failure.to_dict(),
    }
    # Also after LockLost: that the lock still names this run says that the card is nobody else's.
    event = StepEvent(execution, 0, {}, "MarkFailed", document)
    with suppress(GitHubForbidden, GitHubRefused):
        await report_failure(session, configuration, event, failure, card)


async def _move(session: GitHubSession, card: Card, target: str | None, allowed: Collection[str | None]) -> str:
    """Move the card if it stands in one of ``allowed``; the status it has afterwards."""
    if target is None or card.archived or card.item.status == target or card.item.status not in allowed:
        return card.item.status
    await set_status(session, card, target)
    return target


def managed_statuses(configuration: Configuration) -> set[str]:
    """The statuses between which this system itself moves a card while it works."""
    named = (
        configuration.target_status_column,
        configuration.in_progress_status,
        configuration.failed_status,
        configuration.blocked_status,
    )
    return {status for status in named if status is not None}


def _is_taken_elsewhere(card: Card, configuration: Configuration) -> bool:
    return card.archived or card.item.status not in managed_statuses(configuration)


async def _pull_request_id(session: GitHubSession, configuration: Configuration, event: StepEvent) -> str:
    """The pull request of the work; after an abort, of the branch that the lock names."""
    if work := event.document.get("work"):
        return Work.from_dict(work).pull_request_id
    held = event.document.get("held") or {}
    return await find_pull_request(session, configuration, held.get("repository", ""), held.get("branch", ""))


def _item_id(event: StepEvent) -> str:
    return str(event.document["item"]["id"])


def _has_comments(card: Card) -> bool:
    return card.item.content_type in ("Issue", "PullRequest")
