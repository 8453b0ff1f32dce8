"""One comment per deployment on an issue or pull request: found by a hidden marker and updated in place."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import GitHubForbidden, GitHubRefused
from kiro_worker.github.answers.comments import CommentPage, added_url
from kiro_worker.github.queries import ADD_COMMENT, DELETE_COMMENT, FIND_COMMENTS, UPDATE_COMMENT

if TYPE_CHECKING:
    from kiro_worker.github.answers.comments import Comment
    from kiro_worker.github.client import GitHubSession

_LONGEST_BODY: Final = 60_000
"""GitHub rejects bodies above 65,536 characters."""
_IMPLEMENTED: Final = re.compile(r"<!-- kiro-worker \S+ implemented ([0-9a-f]{40,64}) -->\r?\n")
"""The first line. Further down, a comment quotes what the agent and the tests printed."""
_ADDED: Final = "\n\n<!-- kiro-worker added -->\n"


@dataclass(frozen=True)
class OwnComments:
    """The comments of one deployment on a subject, the newest first; more than one if GitHub's answer to one was lost.

    ``exists`` is false if the subject does not exist or cannot have comments.
    """

    subject_id: str
    marker: str
    exists: bool = True
    found: tuple[Comment, ...] = ()

    @property
    def implemented(self) -> str:
        """The commit whose implementation the comment reports; empty if it reports something else."""
        reported = _IMPLEMENTED.match(self.found[0].body) if self.found else None
        return reported[1] if reported else ""


async def find_comments(session: GitHubSession, subject_id: str, execution_arn: str) -> OwnComments:
    """Find the comments that this deployment wrote. Reads older pages only while there is none."""
    # The marker leaves out the execution's name, so that all runs of one deployment update the same comment.
    deployment, _, _ = execution_arn.rpartition(":")
    marker = f"<!-- kiro-worker {deployment}:"
    before = None
    while True:
        page = CommentPage.parse(await session.query(FIND_COMMENTS, {"subjectId": subject_id, "before": before}))
        if page is None:
            return OwnComments(subject_id, marker, exists=False)
        # A comment by another account that quotes or forges the marker is left alone.
        own = tuple(each for each in reversed(page.comments) if each.is_own and each.body.startswith(marker))
        if own or page.previous_cursor in (None, before):
            return OwnComments(subject_id, marker, found=own)
        before = page.previous_cursor


async def put_comment(
    session: GitHubSession, subject_id: str, body: str, execution_arn: str, *, implemented: str = ""
) -> str:
    """Write ``body`` as the worker's comment on the subject, and return the comment's URL.

    ``implemented`` is the commit whose implementation it reports. Safe to repeat, because an existing comment is
    updated. The URL is empty if the subject does not exist or cannot have comments.
    """
    comments = await find_comments(session, subject_id, execution_arn)
    return await write_comment(session, comments, body, execution_arn, implemented=implemented)


async def write_comment(
    session: GitHubSession, comments: OwnComments, body: str, execution_arn: str, *, implemented: str = ""
) -> str:
    """The same as :func:`put_comment`, for comments that have been found. Deletes all of them but the newest."""
    if not comments.exists:
        return ""
    success = f" implemented {implemented}" if implemented else ""
    text = f"{comments.marker}{execution_arn.rpartition(':')[2]}{success} -->\n{body[:_LONGEST_BODY]}"
    return await _write(session, comments, text)


async def add_to_success(session: GitHubSession, comments: OwnComments, body: str) -> str:
    """Add ``body`` below the report of an implementation, in place of what was added before, and return the URL."""
    report = comments.found[0].body.partition(_ADDED)[0]
    return await _write(session, comments, f"{report}{_ADDED}{body[: _LONGEST_BODY - len(report)]}")


async def _write(session: GitHubSession, comments: OwnComments, text: str) -> str:
    if not comments.found:
        return added_url(await session.mutate(ADD_COMMENT, {"subjectId": comments.subject_id, "body": text}))
    newest, *copies = comments.found
    if newest.body != text:
        await session.mutate(UPDATE_COMMENT, {"commentId": newest.id, "body": text})
    for copy in copies:
        with suppress(GitHubForbidden, GitHubRefused):
            await session.mutate(DELETE_COMMENT, {"commentId": copy.id})
    return newest.url
