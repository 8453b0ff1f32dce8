"""Why a git command on the network failed, read from git's output: the one place that tells git's answers apart.

git reports errors as text for people. What it prints locally is stable (``The requested URL returned error: 403``, with
``LANG=C.UTF-8``), so HTTP status codes are preferred. The server's own texts (``remote: …`` and the reason behind
``[remote rejected]``) are recognized in the forms that users of github.com report: see docs/reference/unproven.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kiro_worker.runner.repository.git_causes import Cause
from kiro_worker.runner.sandbox.printable import printable_name

LONGEST_QUOTE: Final = 240
_LONGEST_OUTPUT: Final = 64 * 1024

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
