"""A pull request as a reviewer finds it after the build."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from kiro_worker.github.answers.base import Answer

UNKNOWN: Final = "UNKNOWN"
CONFLICTING: Final = "CONFLICTING"
"""Values of ``mergeable``, which GitHub determines in the background: it is unknown for seconds after each push."""


class _Comparison(Answer):
    behind_by: int


class _BaseRef(Answer):
    compare: _Comparison | None = None


class ReviewedPullRequest(Answer):
    """A pull request after the build. ``state`` is ``OPEN``, ``CLOSED`` or ``MERGED``."""

    number: int
    state: str
    is_draft: bool
    mergeable: str
    base_branch: str = Field(alias="baseRefName")
    base_ref: _BaseRef | None = None

    @property
    def behind_by(self) -> int:
        """How many commits of the base branch the pull request lacks; 0 if that is not known."""
        comparison = self.base_ref.compare if self.base_ref else None
        return comparison.behind_by if comparison else 0

    @property
    def conflicts(self) -> bool:
        """Whether it certainly conflicts with its base branch."""
        return self.mergeable == CONFLICTING


class PullRequestAnswer(Answer):
    """The answer to ``READ_PULL_REQUEST``; ``node`` is ``None`` if the pull request no longer exists."""

    node: ReviewedPullRequest | None = None


class _Mergeable(Answer):
    mergeable: str = UNKNOWN


class MergeableAnswer(Answer):
    """The answer to ``READ_MERGEABLE``."""

    node: _Mergeable | None = None

    @property
    def mergeable(self) -> str:
        return self.node.mergeable if self.node else UNKNOWN
