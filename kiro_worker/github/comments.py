"""One comment per deployment on an issue or pull request: found by a hidden marker and updated in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.github.answers.comments import CommentPage, added_url
from kiro_worker.github.queries import ADD_COMMENT, FIND_COMMENTS, UPDATE_COMMENT

if TYPE_CHECKING:
    from kiro_worker.github.client import GitHubSession

_LONGEST_BODY: Final = 60_000
"""GitHub rejects bodies above 65,536 characters."""


async def put_comment(session: GitHubSession, subject_id: str, body: str, execution_arn: str) -> str:
    """Write ``body`` as the worker's comment on the subject, and return the comment's URL.

    Safe to repeat, because an existing comment is updated. The URL is empty if the subject does not exist or cannot
    have comments.
    """
    # The marker leaves out the execution's name, so that all runs of one deployment update the same comment.
    deployment, _, execution = execution_arn.rpartition(":")
    marker = f"<!-- kiro-worker {deployment}:"
    text = f"{marker}{execution} -->\n{body[:_LONGEST_BODY]}"
    before = None
    while True:
        page = CommentPage.parse(await session.query(FIND_COMMENTS, {"subjectId": subject_id, "before": before}))
        if page is None:
            return ""
        for comment in reversed(page.comments):
            # A comment by another account that quotes or forges the marker is left alone.
            if comment.is_own and comment.body.startswith(marker):
                if comment.body != text:
                    await session.mutate(UPDATE_COMMENT, {"commentId": comment.id, "body": text})
                return comment.url
        before = page.previous_cursor
        if before is None:
            break
    added = await session.mutate(ADD_COMMENT, {"subjectId": subject_id, "body": text})
    return added_url(added)
