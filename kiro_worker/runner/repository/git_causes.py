"""Why a git command on the network can fail: each cause with its meaning, who has to act, and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from kiro_worker.outcomes import FaultOwner

if TYPE_CHECKING:
    from collections.abc import Mapping


class Cause(StrEnum):
    """Why a command failed."""

    UNAVAILABLE = "unavailable"
    RATE_LIMITED = "rate limited"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    SINGLE_SIGN_ON = "single sign-on"
    ACCOUNT_BLOCKED = "account blocked"
    REPOSITORY_MISSING = "repository missing"
    REPOSITORY_RENAMED = "repository renamed"
    REPOSITORY_READ_ONLY = "repository read-only"
    NOT_TRUSTED = "server not trusted"
    PROXY = "proxy"
    REFERENCE_MISSING = "reference missing"
    MOVED = "moved"
    SHALLOW = "shallow"
    SIGNATURES = "signatures"
    COMMIT_RULES = "commit rules"
    PROTECTED_BRANCH = "protected branch"
    RULES = "rules"
    WORKFLOW_SCOPE = "workflow scope"
    LARGE_FILES = "large files"
    SECRETS = "secrets"
    MALFORMED_OBJECTS = "malformed objects"
    HOOK = "hook"
    OTHER = "other"


@dataclass(frozen=True)
class CauseFacts:
    """What a cause means, who has to act (``None``: the outcome's owner), and how to fix it.

    ``{credentials}`` stands for the git credentials and the secret that holds them, ``{store}`` for the command that
    stores new ones. Without a ``fix``, the caller knows a better one.
    """

    meaning: str
    owner: FaultOwner | None
    fix: str = ""


_GITHUB_STATUS: Final = "wait until https://www.githubstatus.com reports no incident, then redrive the execution"
CAUSES: Final[Mapping[Cause, CauseFacts]] = {
    Cause.UNAVAILABLE: CauseFacts("the server gave no usable answer", FaultOwner.SERVICE, _GITHUB_STATUS),
    Cause.RATE_LIMITED: CauseFacts(
        "the server's rate limit is exhausted", FaultOwner.SERVICE, "wait an hour, then redrive the execution"
    ),
    Cause.UNAUTHENTICATED: CauseFacts(
        "the server does not accept {credentials}", FaultOwner.INSTALLATION, "{store}; then redrive the execution"
    ),
    Cause.FORBIDDEN: CauseFacts(
        "{credentials} may not do this",
        FaultOwner.INSTALLATION,
        "give their account write access, and their token the scope repo (fine-grained: Contents, read and write), or"
        " store another: {store}; then redrive the execution",
    ),
    Cause.SINGLE_SIGN_ON: CauseFacts(
        "{credentials} are not authorized for the organization's single sign-on",
        FaultOwner.INSTALLATION,
        "authorize the token at https://github.com/settings/tokens (Configure SSO), then redrive the execution",
    ),
    Cause.ACCOUNT_BLOCKED: CauseFacts(
        "the account of {credentials} is blocked",
        FaultOwner.INSTALLATION,
        "follow the server's text, or store the token of another account: {store}; then redrive the execution",
    ),
    Cause.REPOSITORY_MISSING: CauseFacts(
        "the repository does not exist, or {credentials} may not see it",
        FaultOwner.INSTALLATION,
        "give their account access, and their token the scope repo (fine-grained: this repository, Contents), or store"
        " another: {store}; then redrive the execution",
    ),
    Cause.REPOSITORY_RENAMED: CauseFacts(
        "the repository was renamed or transferred",
        FaultOwner.INSTALLATION,
        'enter its new name as "repository" or in "repositories" of the configuration parameter, then redrive the'
        " execution",
    ),
    Cause.REPOSITORY_READ_ONLY: CauseFacts(
        "the repository is archived, locked or disabled",
        FaultOwner.REPOSITORY,
        "unarchive or unlock it in its settings, then redrive the execution",
    ),
    Cause.NOT_TRUSTED: CauseFacts(
        "the server's certificate is not trusted",
        FaultOwner.INSTALLATION,
        'add its certificate authority to the build\'s image, and check "gitUrl" in the configuration parameter',
    ),
    Cause.PROXY: CauseFacts(
        "the proxy refuses the connection",
        FaultOwner.INSTALLATION,
        "check HTTPS_PROXY and the rules of the proxy, then redrive the execution",
    ),
    Cause.REFERENCE_MISSING: CauseFacts("the server has no such ref or commit", None),
    Cause.MOVED: CauseFacts("another push changed the ref meanwhile", None),
    Cause.SHALLOW: CauseFacts(
        "the server lacks the commits on which the work is based: the branch's history was rewritten",
        FaultOwner.CARD,
        "redrive the execution, or move the card back, to validate and build the branch's new head",
    ),
    Cause.SIGNATURES: CauseFacts(
        "the branch requires signed commits, and the worker does not sign",
        FaultOwner.REPOSITORY,
        "exempt the branch, or the account that pushes, from the rule in the repository's settings (Rules, Branches),"
        " then redrive the execution",
    ),
    Cause.COMMIT_RULES: CauseFacts(
        "a rule about the messages or the authors of commits forbids this",
        FaultOwner.REPOSITORY,
        'set "commits" in .kiro-worker.yml on the default branch as the rule demands (author, signOff, subject, squash)'
        ", or exempt the branch or the account that pushes from the rule; then redrive the execution",
    ),
    Cause.PROTECTED_BRANCH: CauseFacts(
        "the branch is protected",
        FaultOwner.REPOSITORY,
        "allow the account that pushes in the repository's settings (Branches), or exempt the branch from the rule,"
        " then redrive the execution",
    ),
    Cause.RULES: CauseFacts(
        "a ruleset of the repository or organization forbids this",
        FaultOwner.REPOSITORY,
        "let the account that pushes bypass the ruleset in the settings (Rules), or exempt the branch from it, then"
        " redrive the execution",
    ),
    Cause.WORKFLOW_SCOPE: CauseFacts(
        "the work changes a workflow file",
        FaultOwner.CARD,
        "keep workflow files out of the spec; or give {credentials} the scope workflow (fine-grained: Workflows, read"
        " and write), then redrive the execution",
    ),
    Cause.LARGE_FILES: CauseFacts(
        "the work contains a file that is too large",
        FaultOwner.CARD,
        "keep the file out of the work (.gitignore, or a detail line in the spec), or enable LFS; delete the checkpoint"
        " if it contains the file, then redrive the execution",
    ),
    Cause.SECRETS: CauseFacts(
        "the work contains a secret",
        FaultOwner.CARD,
        "replace the secret, remove it from the spec and the branch, then redrive the execution",
    ),
    Cause.MALFORMED_OBJECTS: CauseFacts(
        "the server rejects the objects as malformed",
        FaultOwner.REPOSITORY,
        "correct the named files on the branch and push it, then redrive the execution",
    ),
    Cause.HOOK: CauseFacts(
        "a hook of the server declines this",
        FaultOwner.REPOSITORY,
        "follow the text of the hook, then redrive the execution",
    ),
    Cause.OTHER: CauseFacts("", None),
}

TRANSIENT: Final = frozenset({Cause.UNAVAILABLE, Cause.RATE_LIMITED})
"""Another attempt may succeed."""
FINAL: Final = TRANSIENT | {
    Cause.UNAUTHENTICATED,
    Cause.SINGLE_SIGN_ON,
    Cause.ACCOUNT_BLOCKED,
    Cause.REPOSITORY_MISSING,
    Cause.REPOSITORY_RENAMED,
    Cause.NOT_TRUSTED,
    Cause.PROXY,
    Cause.REFERENCE_MISSING,
}
"""It makes no difference how the repository is read."""
