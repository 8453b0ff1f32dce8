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
_ADDED_LINE: Final = re.compile(r"\r?\n\r?\n<!-- kiro-worker added -->\r?\n")
_SHORTEST_ADDITION: Final = 4_000
"""How much of an addition is shown even below the longest report: the two are still shorter than GitHub's limit."""


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

    def differ_from(self, text: str) -> bool:
        """Whether the newest comment differs from ``text`` in more than the names of the deployment's executions."""
        return not self.found or self._without_executions(self.found[0].body) != self._without_executions(text)

    def _without_executions(self, text: str) -> str:
        deployment = self.marker.rpartition(" ")[2]
        names = re.compile(f"{re.escape(deployment)}[A-Za-z0-9_.-]+")
        return names.sub(deployment, text.replace("\r\n", "\n")).strip()


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
    session: GitHubSession,
    subject_id: str,
    body: str,
    execution_arn: str,
    *,
    implemented: str = "",
    keeps_success: bool = False,
) -> str:
    """Write ``body`` as the worker's comment on the subject, and return the comment's URL.

    ``implemented`` is the commit whose implementation it reports; with ``keeps_success``, a comment that already
    reports that commit stays as it is. Safe to repeat, because an existing comment is updated. The URL is empty if the
    subject does not exist or cannot have comments.
    """
    comments = await find_comments(session, subject_id, execution_arn)
    if keeps_success and implemented and comments.implemented == implemented:
        return comments.found[0].url
    return await write_comment(session, comments, body, execution_arn, implemented=implemented)


async def write_comment(
    session: GitHubSession,
    comments: OwnComments,
    body: str,
    execution_arn: str,
    *,
    implemented: str = "",
    ignore_execution: bool = False,
) -> str:
    """The same as :func:`put_comment`, for comments that have been found. Deletes all of them but the newest.

    With ``ignore_execution``, a comment that would differ only in the name of the execution is not updated.
    """
    if not comments.exists:
        return ""
    success = f" implemented {implemented}" if implemented else ""
    text = f"{comments.marker}{execution_arn.rpartition(':')[2]}{success} -->\n{body[:_LONGEST_BODY]}"
    return await _write(session, comments, text, ignore_execution=ignore_execution)


async def add_to_success(session: GitHubSession, comments: OwnComments, body: str) -> str:
    """Add ``body`` below the report of an implementation, in place of what was added before, and return the URL.

    A comment that would differ only in the name of the execution is not updated.
    """
    report = _ADDED_LINE.split(comments.found[0].body, maxsplit=1)[0]
    room = max(_LONGEST_BODY - len(report), _SHORTEST_ADDITION)
    return await _write(session, comments, f"{report}{_ADDED}{body[:room]}", ignore_execution=True)


async def _write(session: GitHubSession, comments: OwnComments, text: str, *, ignore_execution: bool) -> str:
    if not comments.found:
        return added_url(await session.mutate(ADD_COMMENT, {"subjectId": comments.subject_id, "body": text}))
    newest, *copies = comments.found
    if newest.body != text and (comments.differ_from(text) or not ignore_execution):
        await session.mutate(UPDATE_COMMENT, {"commentId": newest.id, "body": text})
    for copy in copies:
        with suppress(GitHubForbidden, GitHubRefused):
            await session.mutate(DELETE_COMMENT, {"commentId": copy.id})
    return newest.url
