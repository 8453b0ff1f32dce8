"""Resolvers for the rules of a branch: branch protection as everybody sees it, and rulesets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kiro_local.github.push_rules import RULE_TYPES, PushRule
from kiro_local.github.resolvers import Table, connection, github_error

if TYPE_CHECKING:
    from kiro_local.github.model import BranchRule
    from kiro_local.github.resolvers import Context
    from kiro_local.github.resolvers_git import Ref

TABLE: Final = Table()
_PROTECTION: Final = (PushRule.RESTRICTED, PushRule.SIGNATURES)


def _rules_of(ref: Ref) -> list[BranchRule]:
    if ref.repository.rules_are_hidden:
        raise github_error("FORBIDDEN", "Resource not accessible by personal access token")
    return [rule for rule in ref.repository.rules if f"refs/heads/{rule.branch}" == ref.full_name]


@TABLE.of("Ref.refUpdateRule")
def _update_rule(ref: Ref, _: Context) -> dict[str, Any] | None:
    found = {each.rule for each in _rules_of(ref) if each.rule in _PROTECTION}
    if not found:
        return None
    return {
        "pattern": ref.name,
        "requiresSignatures": PushRule.SIGNATURES in found,
        "viewerCanPush": PushRule.RESTRICTED not in found,
    }


@TABLE.of("Ref.rules")
def _rules(ref: Ref, _: Context, **page: Any) -> dict[str, Any]:
    return connection([rule for rule in _rules_of(ref) if rule.rule in RULE_TYPES], **page)


@TABLE.of("RepositoryRule.type")
def _type(rule: BranchRule, _: Context) -> str:
    return RULE_TYPES[rule.rule]


@TABLE.of("RepositoryRule.repositoryRuleset")
def _ruleset(rule: BranchRule, _: Context) -> BranchRule:
    return rule


@TABLE.of("RepositoryRuleset.bypassActors")
def _bypass_actors(rule: BranchRule, _: Context, **__: Any) -> dict[str, Any] | None:
    """How many accounts are exempt; null if the token may not see that."""
    if rule.bypass_actors is None:
        return None
    nothing = {"startCursor": None, "endCursor": None, "hasNextPage": False, "hasPreviousPage": False}
    return {"totalCount": rule.bypass_actors, "pageInfo": nothing}
