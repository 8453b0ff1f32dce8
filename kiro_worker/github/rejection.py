"""The rejection of a card that is not ready."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import GitHubAnswerInvalid, GitHubForbidden, GitHubRefused, WorkItemNotFound
from kiro_worker.github import pr_comment
from kiro_worker.github.board import managed_statuses, read_card
from kiro_worker.github.cards import commentable_content, is_elsewhere, move
from kiro_worker.github.comments import add_to_success, find_comments, write_comment
from kiro_worker.github.readiness import find_pull_request
from kiro_worker.github.spec_problems import only_lacks_open_task
from kiro_worker.state import CardReport, require

if TYPE_CHECKING:
    from kiro_worker.config.model import Configuration
    from kiro_worker.github.board import Card
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.github.comments import OwnComments
    from kiro_worker.models import WorkItem
    from kiro_worker.state import StepEvent

_DENIED: Final = (GitHubAnswerInvalid, GitHubForbidden, GitHubRefused)
"""Errors about one object, which must not keep a rejected card in the queue."""


async def reject(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
    """Move the card to the blocked status, and explain in comments on it and its pull request what is missing.

    The move comes first: an archived or inaccessible repository accepts no comment, and a card that stays in the target
    status would be first in the queue on every tick. A card that was moved since it was selected is left alone. If
    nothing but an open task is missing, because the worker has implemented them all, the card goes to the review
    status.
    """
    item, failure = require(event.document.item, "item"), require(event.document.failure, "failure")
    try:
        card = await read_card(session, configuration, item.id, [configuration.blocked_status])
    except WorkItemNotFound:
        # The card was deleted in the meantime, so there is nothing to reject.
        return CardReport("", comment_url="")
    if is_elsewhere(card, configuration) or _moved_since(item, card, configuration):
        return CardReport(card.item.status, comment_url="")
    pull_request_id: str | None = None
    if only_lacks_open_task(failure.reason):
        pull_request_id = await _pull_request_of(session, configuration, item)
        if found := await _implemented(session, pull_request_id, event.execution_arn):
            return await _return_to_review(session, configuration, card, found)
    status, url = await move(session, card, configuration.blocked_status, managed_statuses(configuration)), ""
    body = pr_comment.rejected(failure.reason, event.execution_arn)
    if pull_request_id is None:
        pull_request_id = await _pull_request_of(session, configuration, item)
    # If the card's content is the pull request itself, one comment is enough.
    for subject_id in filter(None, dict.fromkeys([commentable_content(card), pull_request_id])):
        with suppress(*_DENIED):
            url = await _put_rejection(session, subject_id, body, event.execution_arn) or url
    return CardReport(status, comment_url=url)


def _moved_since(selected: WorkItem, card: Card, configuration: Configuration) -> bool:
    """Whether somebody has moved the card since it was selected: it may be corrected by now, or another run builds it.

    In the blocked status, this step may have moved it, and its answer was lost.
    """
    before, now = selected.status_updated_at, card.item.status_updated_at
    return card.item.status != configuration.blocked_status and before != "" and now not in ("", before)


async def _pull_request_of(session: GitHubSession, configuration: Configuration, item: WorkItem) -> str:
    """The ID of the card's pull request; empty if there is none, or if GitHub does not name it."""
    with suppress(*_DENIED):
        return await find_pull_request(session, configuration, item.repository, item.branch)
    return ""


async def _implemented(session: GitHubSession, pull_request_id: str, execution_arn: str) -> OwnComments | None:
    """The worker's comments on the pull request, if there is one and they report an implementation."""
    if not pull_request_id:
        return None
    with suppress(*_DENIED):
        comments = await find_comments(session, pull_request_id, execution_arn)
        return comments if comments.implemented else None
    return None


async def _return_to_review(
    session: GitHubSession, configuration: Configuration, card: Card, comments: OwnComments
) -> CardReport:
    commit, url = comments.implemented, ""
    status = await move(session, card, configuration.review_status, managed_statuses(configuration))
    with suppress(*_DENIED):
        url = await add_to_success(session, comments, pr_comment.already_implemented(commit, configuration))
    return CardReport(status, url, commit)


async def _put_rejection(session: GitHubSession, subject_id: str, body: str, execution_arn: str) -> str:
    """Write a rejection. It never replaces the report of an implementation, which may be another card's."""
    comments = await find_comments(session, subject_id, execution_arn)
    if comments.implemented:
        return await add_to_success(session, comments, body)
    return await write_comment(session, comments, body, execution_arn, ignore_execution=True)
