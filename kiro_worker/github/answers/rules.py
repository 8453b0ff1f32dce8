"""The rules that apply to a branch, as GitHub shows them to the token."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from kiro_worker.github.answers.base import Answer


class UpdateRule(Answer):
    """The branch protection rule that applies to a branch. ``viewer_can_push`` is about the token's account."""

    pattern: str
    viewer_can_push: bool
    requires_signatures: bool


class _Count(Answer):
    total_count: int


class _Ruleset(Answer):
    name: str = ""
    bypass_actors: _Count | None = None


class Rule(Answer):
    """A rule of a ruleset."""

    type: str
    ruleset: _Ruleset | None = Field(default=None, alias="repositoryRuleset")

    @property
    def name(self) -> str:
        """The name of the ruleset; empty if the token may not see it."""
        return self.ruleset.name if self.ruleset else ""

    @property
    def bypass_actors(self) -> int | None:
        """How many are exempt from the rule; ``None`` if the token may not see that."""
        actors = self.ruleset.bypass_actors if self.ruleset else None
        return actors.total_count if actors else None


@dataclass(frozen=True)
class BranchAccess:
    """What may keep the worker from pushing to a branch. ``locked`` is GitHub's reason, or empty.

    ``viewer_permission`` is empty, ``update_rule`` ``None`` and ``rules`` empty if there is none, or if the token may
    not see it.
    """

    archived: bool
    locked: str
    disabled: bool
    viewer_permission: str
    update_rule: UpdateRule | None
    rules: tuple[Rule, ...]
