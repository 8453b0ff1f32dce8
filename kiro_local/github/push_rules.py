"""Rules that make the stand-in refuse a push, with the texts that github.com sends.

The texts are quoted from what users report in public issues. ``{ref}`` is the full name of the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class PushRule(StrEnum):
    """Why pushes to a reference are refused."""

    RESTRICTED = "restricted"
    """A branch protection rule that lets only some accounts push."""
    SIGNATURES = "signatures"
    """A branch protection rule that requires signed commits."""
    RULESET_SIGNATURES = "ruleset signatures"
    RULESET_PULL_REQUEST = "ruleset pull request"
    RULESET_LOCKED = "ruleset locked"
    RULESET_COMMIT_MESSAGE = "ruleset commit message"
    WORKFLOW_SCOPE = "workflow scope"
    """The token lacks the scope ``workflow``, and the push changes a workflow."""
    WORKFLOW_TIMEOUT = "workflow timeout"
    """github.com could not find out in time whether the push changes a workflow."""
    LARGE_FILE = "large file"
    PUSH_PROTECTION = "push protection"
    FAILURE = "failure"
    """github.com failed to update the reference."""


@dataclass(frozen=True)
class Refusal:
    """What the client prints: ``lines`` behind ``remote:``, and ``reason`` behind ``[remote rejected]``."""

    reason: str
    lines: tuple[str, ...] = ()


_PROTECTED: Final = "protected branch hook declined"
_VIOLATIONS: Final = "push declined due to repository rule violations"
REFUSALS: Final[Mapping[PushRule, Refusal]] = {
    PushRule.RESTRICTED: Refusal(
        _PROTECTED,
        (
            "error: GH006: Protected branch update failed for {ref}.",
            "",
            "- You're not authorized to push to this branch. Visit https://docs.github.com for more information.",
        ),
    ),
    PushRule.SIGNATURES: Refusal(
        _PROTECTED,
        ("error: GH006: Protected branch update failed for {ref}.", "error: Commits must have verified signatures."),
    ),
    PushRule.RULESET_SIGNATURES: Refusal(
        _VIOLATIONS,
        (
            "error: GH013: Repository rule violations found for {ref}.",
            "Review all repository rules at https://github.com/acme/shop/rules?ref=x",
            "",
            "- Commits must have verified signatures.",
            "  Found 1 violation:",
        ),
    ),
    PushRule.RULESET_PULL_REQUEST: Refusal(
        _VIOLATIONS,
        (
            "error: GH013: Repository rule violations found for {ref}.",
            "Review all repository rules at https://github.com/acme/shop/rules?ref=x",
            "",
            "- Changes must be made through a pull request.",
        ),
    ),
    PushRule.RULESET_LOCKED: Refusal(
        _VIOLATIONS,
        ("error: GH013: Repository rule violations found for {ref}.", "", "- Cannot update this protected ref."),
    ),
    PushRule.RULESET_COMMIT_MESSAGE: Refusal(
        _VIOLATIONS,
        (
            "error: GH013: Repository rule violations found for {ref}.",
            "",
            "- Commit message must match a given regex pattern: ^(feat|fix): .+",
        ),
    ),
    PushRule.WORKFLOW_SCOPE: Refusal(
        "refusing to allow a Personal Access Token to create or update workflow `.github/workflows/test.yml` without"
        " `workflow` scope"
    ),
    PushRule.WORKFLOW_TIMEOUT: Refusal(
        "Unable to determine if workflow can be created or updated due to timeout; `workflows` scope may be required."
    ),
    PushRule.LARGE_FILE: Refusal(
        "pre-receive hook declined",
        (
            "error: Trace: 654c8d72f32f9965c4734092a2fb75d32fe2a39f6d10881c1465db48addc3ea4",
            "error: See https://gh.io/lfs for more information.",
            "error: File data/big.bin is 301.74 MB; this exceeds GitHub's file size limit of 100.00 MB",
            "error: GH001: Large files detected. You may want to try Git Large File Storage - https://git-lfs.github.com.",
        ),
    ),
    PushRule.PUSH_PROTECTION: Refusal(
        _VIOLATIONS,
        (
            "error: GH013: Repository rule violations found for {ref}.",
            "",
            "- GITHUB PUSH PROTECTION",
            "  - Push cannot contain secrets",
        ),
    ),
    PushRule.FAILURE: Refusal("failure", ("fatal error in commit_refs",)),
}

RULE_TYPES: Final[Mapping[PushRule, str]] = {
    PushRule.RULESET_SIGNATURES: "REQUIRED_SIGNATURES",
    PushRule.RULESET_PULL_REQUEST: "PULL_REQUEST",
    PushRule.RULESET_LOCKED: "LOCK_BRANCH",
    PushRule.RULESET_COMMIT_MESSAGE: "COMMIT_MESSAGE_PATTERN",
}
"""The rules that ``Ref.rules`` shows, as values of ``RepositoryRuleType``."""
