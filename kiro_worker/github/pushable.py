"""Whether the worker certainly cannot push to a branch, as far as GitHub's API shows it, before anything is spent.

The API answers for the account of the GitHub token. The git credentials may belong to another account, whose rights and
exemptions the API does not show. So a branch is refused only for what holds for both: the repository's state, rules
that no commit of the worker satisfies, and a protected branch onto which an account that may write to the repository
may not push. Everything else is unknown until the build's push check. What the token may not read is null, and counts
as unknown, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiro_worker.github.answers.repository import RepositoryState
    from kiro_worker.github.answers.rules import UpdateRule

_READERS: Final = ("READ", "TRIAGE")
_NEVER_SATISFIED: Final = {
    "REQUIRED_SIGNATURES": "requires signed commits, and the worker does not sign",
    "LOCK_BRANCH": "makes the branch read-only",
}
"""Rule types that reject every push of the worker, unless an exemption applies."""
_NO_DIRECT_PUSH: Final = {
    "PULL_REQUEST": "allows changes through a pull request only",
    "MERGE_QUEUE": "allows changes through a merge queue only",
}
"""Rule types that are often set together with an exemption, which the token can usually not see."""


def push_problems(repository: RepositoryState, branch: str) -> Iterator[str]:
    """Every reason why the worker certainly cannot push to ``branch``, each with its fix."""
    name, access = repository.name, repository.access
    if access.archived:
        yield f"the repository {name} is archived: unarchive it in its settings"
    elif access.locked:
        yield f"the repository {name} is locked ({access.locked}): wait until GitHub unlocks it, or ask its owner"
    if access.disabled:
        yield f"the repository {name} is disabled: ask its owner to check the messages and the billing of the account"
    if rule := access.update_rule:
        yield from _protection_problems(rule, repository, branch)
    for ruleset in access.rules:
        problem = _NEVER_SATISFIED.get(ruleset.type)
        if ruleset.bypass_actors == 0:
            problem = problem or _NO_DIRECT_PUSH.get(ruleset.type)
        if problem and not ruleset.bypass_actors:
            yield (
                f"the ruleset {ruleset.name!a} {problem}: let the worker's account bypass it, or exempt {branch} from"
                " it, in the settings of the repository or organization (Rules)"
            )


def _protection_problems(rule: UpdateRule, repository: RepositoryState, branch: str) -> Iterator[str]:
    named = f"the branch protection rule {rule.pattern!a} of {repository.name}"
    fix = "in the settings of the repository (Branches)"
    if rule.requires_signatures:
        yield f"{named} {_NEVER_SATISFIED['REQUIRED_SIGNATURES']}: exempt {branch} from it, {fix}"
    if not rule.viewer_can_push and repository.access.viewer_permission not in _READERS:
        yield (
            f"{named} does not let the account of the GitHub token push to {branch}: allow it, and the account of the"
            f" git credentials if that is another one, or exempt {branch} from the rule, {fix}"
        )
