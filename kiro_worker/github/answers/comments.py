"""The comments on an issue or pull request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import Field

from kiro_worker.github.answers.base import Answer


class Comment(Answer):
    """A comment. ``is_own`` means that the token's account wrote it."""

    id: str
    url: str
    body: str
    is_own: bool = Field(alias="viewerDidAuthor")


@dataclass(frozen=True)
class CommentPage:
    """Some comments, oldest first. ``previous_cursor`` is ``None`` on the page with the oldest comment."""

    comments: tuple[Comment, ...]
    previous_cursor: str | None

    @classmethod
    def parse(cls, answer: object) -> Self | None:
        """The page; ``None`` if the subject does not exist or cannot have comments."""
        subject = _SubjectAnswer.parse(answer).node
        found = subject.comments if subject else None
        if found is None:
            return None
        comments = tuple(comment for comment in found.nodes or () if comment)
        return cls(comments, found.page.start_cursor if found.page.has_previous_page else None)


def added_url(answer: object) -> str:
    """The URL of the comment that ``ADD_COMMENT`` wrote."""
    return _AddCommentAnswer.parse(answer).add_comment.comment_edge.node.url


class _Page(Answer):
    has_previous_page: bool = False
    start_cursor: str | None = None


class _Comments(Answer):
    nodes: list[Comment | None] | None = None
    page: _Page = Field(default=_Page(), alias="pageInfo")


class _Subject(Answer):
    comments: _Comments | None = None


class _SubjectAnswer(Answer):
    node: _Subject | None = None


class _Url(Answer):
    url: str


class _Edge(Answer):
    node: _Url


class _Added(Answer):
    comment_edge: _Edge


class _AddCommentAnswer(Answer):
    add_comment: _Added
