"""Why a git command on the network failed, read from git's output: the one place that tells git's answers apart.

git reports errors as text for people. What it prints locally is stable (``The requested URL returned error: 403``, with
``LANG=C.UTF-8``), so HTTP status codes are preferred. The server's own texts (``remote: …`` and the reason behind
``[remote rejected]``) are recognized in the forms that users of github.com report: see docs/reference/unproven.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from kiro_worker.outcomes import FaultOwner
from kiro_worker.runner.sandbox.printable import printable_name

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_QUOTE: Final = 240
_LONGEST_OUTPUT: Final = 64 * 1024


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

# Lines that begin so can be quoted.
_LINE: Final = re.compile(
    r"(?:fatal|error|remote|fetch-pack|send-pack|batch response|LFS|Fatal error|(?:Client|Server) error): "
    r"| *! \[|\[\d{3}\]|no answer within "
)
# Lines of the server and of the connection. Only these are read: all others can name files of the repository.
_SPOKEN: Final = re.compile(
    r"(?:remote|fetch-pack|send-pack|batch response|LFS|Fatal error|(?:Client|Server) error): "
    r"| *! \[|\[\d{3}\]|no answer within |error: \d+ bytes of body "
    r"|(?:fatal|error): (?:unable to access 'https?://|Authentication failed for |could not read (?:User|Pass)"
    r"|repository 'https?://|couldn't find remote ref |unable to delete '.*': remote ref |remote error: "
    r"|[Tt]he remote end hung up unexpectedly$|early EOF$|RPC failed; (?:HTTP|curl|result=)"
    r"|protocol error: |bad (?:pack header|line length)|expected flush|(?:git )?(?:fetch|upload)[-_]pack: "
    r"|remote unpack failed: |unable to update url base from redirection|fsck error in )"
)
# The end of a line that begins with the name of a file.
_FILTER_FAILED: Final = re.compile(r": (?:clean|smudge) filter '?\w+'? failed$")
# Names in such lines, which are left out before the lines are read, and what takes their place.
_NAMES: Final = (
    (re.compile(r"(?<=unable to access )'.*'(?=: )"), "''"),
    (re.compile(r"^( *! \[[\w ]+\]) +\S+(?: -> \S+)? (\(.*\))$"), r"\1 \2"),
    (re.compile(r"(?<=\bFile ).*(?= is [\d.]+ [KMG]?B\b)|(?<=\bpath: ).*"), ""),
    (re.compile(r"[`'\"]?refs/\S+|https?://\S+|(?<!\w)[`'\"][^`'\"]*[`'\"]"), "''"),
)
_NOISE: Final = re.compile(
    r"remote: *(?:error: )?(?:$|(?:Resolving deltas|Counting|Compressing|Enumerating|Total|Trace|Visit|Review all)\b)"
)
_MARK: Final = re.compile(r"^(?:remote:| *! )")
_OID: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{28}\b")
_STATUS: Final = r"(?:returned error: |RPC failed; HTTP |HTTP code = |from HTTP |^\[)"
# The first pattern that any line matches wins, so that the server's reason is preferred to what follows from it.
_PATTERNS: Final = tuple(
    (cause, re.compile(pattern))
    for cause, pattern in (
        (
            Cause.REPOSITORY_READ_ONLY,
            r"repository (?:was|is) archived|[Rr]epository \S+ is disabled|locked for migration",
        ),
        (Cause.REPOSITORY_READ_ONLY, r"[Rr]epository (?:is|has been) (?:currently )?(?:locked|disabled)"),
        (Cause.ACCOUNT_BLOCKED, r"[Yy]our account (?:is|was|has been) (?:suspended|disabled|locked|blocked)"),
        (Cause.SINGLE_SIGN_ON, r"SAML SSO|[Ss]ingle sign-on"),
        (Cause.RATE_LIMITED, rf"rate limit|{_STATUS}429\b"),
        (Cause.UNAVAILABLE, r"Unable to determine if workflow can be created or updated due to timeout"),
        (Cause.WORKFLOW_SCOPE, r"refusing to allow .* to create or update workflow"),
        (Cause.SIGNATURES, r"[Cc]ommits must have (?:verified|valid) signatures"),
        (Cause.SECRETS, r"PUSH PROTECTION|[Pp]ush cannot contain secrets"),
        (Cause.LARGE_FILES, r"GH001|exceeds .*file size limit|Large files detected"),
        (
            Cause.COMMIT_RULES,
            r"^remote: .*(?:[Cc]ommit message|(?:[Aa]uthor|[Cc]ommitter)(?:'s)? (?:e-?mail|name))\b.*(?:must|pattern)",
        ),
        (Cause.COMMIT_RULES, r"GH007|would publish a private email|email privacy restrictions"),
        (Cause.PROTECTED_BRANCH, r"GH006|protected branch hook declined"),
        (Cause.RULES, r"GH013|repository rule violations"),
        (Cause.UNAVAILABLE, r"^remote: .*(?:Internal Server Error|fatal error in commit_refs)|\[remote failure\]"),
        (Cause.UNAVAILABLE, r"\[remote rejected\].*(?:\(failure\)|Unable to create .*File exists)"),
        (Cause.MALFORMED_OBJECTS, r"fsck error|^remote: error: object [0-9a-f]+: |repository corruption on the rem"),
        (Cause.HOOK, r"\[remote rejected\].*hook declined"),
        (Cause.SHALLOW, r"shallow update not allowed"),
        (Cause.MOVED, r"^ *! \[rejected\]|\((?:stale info|fetch first|non-fast-forward|incorrect old value provided)"),
        (Cause.MOVED, r"cannot lock ref .*(?:but expected|reference already exists)|\(reference already exists\)"),
        (Cause.UNAUTHENTICATED, rf"Authentication (?:failed for|required)|could not read (?:User|Pass)|{_STATUS}401\b"),
        (Cause.REPOSITORY_MISSING, rf"^fatal: repository '.*' not found|{_STATUS}404\b|^remote: Repository not found"),
        (Cause.FORBIDDEN, rf"{_STATUS}403\b"),
        (Cause.REPOSITORY_RENAMED, rf"{_STATUS}30[1278]\b|unable to update url base from redirection"),
        (Cause.PROXY, r"Received HTTP code 40\d from proxy|CONNECT tunnel failed, response 40\d"),
        (Cause.NOT_TRUSTED, r"certificate problem|certificate verif|self.signed certificate|CAfile"),
        (Cause.UNAVAILABLE, rf"{_STATUS}(?:5\d\d|408)\b|Received HTTP code 5\d\d|response 5\d\d"),
        (Cause.REFERENCE_MISSING, r"couldn't find remote ref|remote ref does not exist|not our ref"),
        (Cause.OTHER, r"^fatal: remote error: "),
        (
            Cause.UNAVAILABLE,
            r"Could not resolve|[Cc]ould(?: not|n't) connect|Failed to connect|[Cc]onnection (?:was )?re",
        ),
        (Cause.UNAVAILABLE, r"[Tt]imed out|[Tt]oo slow|deadline exceeded|no answer within|Empty reply from server"),
        (Cause.UNAVAILABLE, r"hung up unexpectedly|early EOF|unexpected disconnect|transfer closed|still expected"),
        (Cause.UNAVAILABLE, r"Recv failure|Send failure|SSL_ERROR|SSL_read|TLS connect|[Gg]nu ?TLS|stream \d+ was not"),
        (Cause.UNAVAILABLE, r"RPC failed; (?:curl|result=)|bad pack header|dial tcp|bad line length|expected flush"),
    )
)


@dataclass(frozen=True)
class GitAnswer:
    """Why a command failed, and the lines of its output that say so: printable, on one line, of limited length."""

    cause: Cause
    quote: str


def read_answer(output: str) -> GitAnswer:
    """Return what the error output of a failed git command says. ``output`` has been redacted."""
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", output[-_LONGEST_OUTPUT:]) if line.strip()]
    known = [line for line in lines if _LINE.match(line)]
    spoken = {line: _without_names(line) for line in known if _SPOKEN.match(line) and not _FILTER_FAILED.search(line)}
    for cause, pattern in _PATTERNS:
        if found := next((line for line, text in spoken.items() if pattern.search(text)), None):
            return GitAnswer(cause, _quote(found, known))
    rejected = [line for line in known if "rejected]" in line] or known or lines[-1:]
    return GitAnswer(Cause.OTHER, _quote(rejected[0], known) if rejected else "")


def _without_names(line: str) -> str:
    for name, shown in _NAMES:
        line = name.sub(shown, line)
    return line


def _quote(telling: str, lines: list[str]) -> str:
    """Return the telling line, followed by what the server says besides, and by the HTTP status."""
    remote = [line for line in lines if line.startswith("remote:") and not _NOISE.match(line)]
    status = [line for line in lines if re.search(_STATUS, line)]
    shown = dict.fromkeys((telling, *remote, *status[:1]))
    cleaned = (printable_name(_OID.sub(r"\1", _MARK.sub("", line)).strip(" \t\0")) for line in shown)
    quote = "; ".join(line for line in cleaned if line)
    # A long line ends with what is wrong with the name in its middle.
    end = LONGEST_QUOTE // 3
    return quote if len(quote) <= LONGEST_QUOTE else f"{quote[: LONGEST_QUOTE - end - 1]}…{quote[-end:]}"
