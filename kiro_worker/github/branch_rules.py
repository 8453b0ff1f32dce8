"""The rules that apply to a branch, as GitHub's answer shows them to the token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class UpdateRule:
    """The branch protection rule that applies to a branch. ``viewer_can_push`` is about the token's account."""

    pattern: str
    viewer_can_push: bool
    requires_signatures: bool

    @classmethod
    def parse(cls, node: Mapping[str, Any]) -> Self:
        return cls(node["pattern"], node["viewerCanPush"], node["requiresSignatures"])


@dataclass(frozen=True)
class Rule:
    """A rule of a ruleset. ``bypass_actors`` counts who is exempt; ``None`` if the token may not see that."""

    type: str
    name: str
    bypass_actors: int | None

    @classmethod
    def parse(cls, node: Mapping[str, Any]) -> Self:
        ruleset = node.get("repositoryRuleset") or {}
        return cls(node["type"], ruleset.get("name", ""), (ruleset.get("bypassActors") or {}).get("totalCount"))

    @classmethod
    def parse_all(cls, ref: Mapping[str, Any]) -> tuple[Self, ...]:
        """Every rule that the token may see."""
        return tuple(cls.parse(node) for node in (ref.get("rules") or {}).get("nodes") or () if node)


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

    @classmethod
    def parse(cls, repository: Mapping[str, Any]) -> Self:
        ref = repository["ref"] or {}
        return cls(
            archived=repository["isArchived"],
            locked=(repository.get("lockReason") or "no reason given") if repository.get("isLocked") else "",
            disabled=bool(repository.get("isDisabled")),
            viewer_permission=repository.get("viewerPermission") or "",
            update_rule=UpdateRule.parse(ref["refUpdateRule"]) if ref.get("refUpdateRule") else None,
            rules=Rule.parse_all(ref),
        )
