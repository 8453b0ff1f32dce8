"""Answers the REST API's comparison of two commits, which is all of REST that the worker uses.

https://docs.github.com/en/rest/commits/commits#compare-two-commits
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from kiro_local.github.base_handler import BAD_GATEWAY
from kiro_local.github.faults import FaultKind
from kiro_local.github.git_repository import GitFailed
from kiro_local.github.request_log import LoggedRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_local.github.base_handler import BaseHandler
    from kiro_local.github.git_repository import GitRepository

COMPARE: Final = "compare"
"""The name of the operation in faults and in the request log."""
MOST_FILES: Final = 300
_DEFAULT_PAGE: Final = 250
_PATH: Final = re.compile(
    r"(?:/api/v3)?/repos/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)/compare/(?P<base>.+?)\.\.\.(?P<head>.+)", re.ASCII
)
_STATUSES: Final = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "T": "changed"}
_DOCUMENTATION: Final = "https://docs.github.com/rest/commits/commits#compare-two-commits"


@dataclass(frozen=True)
class CompareRequest:
    """A comparison of two refs or commits of a repository, and the wanted page of its commits."""

    repository: str
    base: str
    head: str
    page: int = 1
    per_page: int = _DEFAULT_PAGE


@dataclass(frozen=True)
class _Answer:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


def parse_compare_request(method: str, raw_path: str, query: Mapping[str, list[str]]) -> CompareRequest | None:
    """The comparison that a URL stands for, or ``None``."""
    match = _PATH.fullmatch(unquote(raw_path))
    if match is None or method != "GET":
        return None
    numbers = {name: (query.get(name) or [""])[0] for name in ("page", "per_page")}
    page, per_page = (int(text) if text.isdecimal() else 0 for text in numbers.values())
    name = f"{match['owner']}/{match['name']}"
    return CompareRequest(name, match["base"], match["head"], page or 1, min(per_page, _DEFAULT_PAGE) or _DEFAULT_PAGE)


def answer_compare(http: BaseHandler, request: CompareRequest) -> None:
    """Answer one comparison, or apply the pending fault to it."""
    backend = http.backend
    backend.on_request(COMPARE)
    token, fault = http.token(), backend.faults.take(COMPARE)
    http.delay(fault)
    kind = fault.kind if fault else None
    answer = _Answer(502, None) if kind is FaultKind.BAD_GATEWAY else _answer(http, request, kind)
    is_lost = kind in (FaultKind.RESET, FaultKind.LOST_ANSWER)
    variables = {"repository": request.repository, "base": request.base, "head": request.head}
    backend.requests.add(
        LoggedRequest(
            "rest",
            COMPARE,
            variables,
            token.login if token else "",
            0 if is_lost else answer.status,
            fault=str(fault.kind) if fault else "",
        )
    )
    if is_lost:
        http.reset()
    elif answer.status == 502:
        http.send_body(502, BAD_GATEWAY, "text/html; charset=utf-8")
    else:
        http.send_json(answer.status, answer.body, answer.headers)


def _answer(http: BaseHandler, request: CompareRequest, fault: FaultKind | None) -> _Answer:
    token, board = http.token(), http.backend.board
    if token is None or fault is FaultKind.UNAUTHORIZED:
        return _refusal(401, "Bad credentials")
    if fault in (FaultKind.RATE_LIMITED, FaultKind.SECONDARY_LIMIT):
        limited = _refusal(403, "You have exceeded a secondary rate limit. Please wait a few minutes.")
        return _Answer(403, limited.body, {"retry-after": "60"})
    if fault in (FaultKind.FORBIDDEN, FaultKind.INSUFFICIENT_SCOPES, FaultKind.SINGLE_SIGN_ON):
        return _refusal(403, "Resource not accessible by personal access token")
    repository = board.repository(request.repository)
    if repository is None or not (token.reaches_repositories or not repository.is_private):
        return _refusal(404, "Not Found")
    with board.lock:
        return _compare(repository.git, request, board.url(repository.path))


def _compare(git: GitRepository, request: CompareRequest, url: str) -> _Answer:
    base, head = _commit(git, request.base), _commit(git, request.head)
    if not base or not head:
        return _refusal(404, "Not Found")
    try:
        merge_base = git.run("merge-base", base, head).decode().strip()
    except GitFailed:
        return _refusal(404, f"No common ancestor between {request.base} and {request.head}.")
    commits = git.run("rev-list", "--reverse", f"{base}..{head}").decode().split()
    behind = int(git.run("rev-list", "--count", f"{head}..{base}"))
    first = (request.page - 1) * request.per_page
    body = {
        "url": f"{url}/compare/{request.base}...{request.head}",
        "base_commit": {"sha": base},
        "merge_base_commit": {"sha": merge_base},
        "status": _status(len(commits), behind),
        "ahead_by": len(commits),
        "behind_by": behind,
        "total_commits": len(commits),
        "commits": [{"sha": sha} for sha in commits[first : first + request.per_page]],
    }
    # The files are on the first page only, and those beyond the limit are on none.
    return _Answer(200, body | ({"files": _files(git, merge_base, head)} if request.page == 1 else {}))


def _files(git: GitRepository, merge_base: str, head: str) -> list[dict[str, Any]]:
    fields = git.run("diff-tree", "-r", "-z", "--raw", "-M", merge_base, head).decode(errors="replace").split("\0")
    files: list[dict[str, Any]] = []
    while len(fields) > 1 and len(files) < MOST_FILES:
        _, _, before, after, letter = fields.pop(0).removeprefix(":").split(" ")
        status = _STATUSES[letter[0]]
        previous = {"previous_filename": fields.pop(0)} if status == "renamed" else {}
        sha = before if status == "removed" else after
        files.append({"sha": sha, "filename": fields.pop(0), "status": status, **previous})
    return files


def _status(ahead: int, behind: int) -> str:
    if ahead and behind:
        return "diverged"
    return "ahead" if ahead else "behind" if behind else "identical"


def _commit(git: GitRepository, name: str) -> str:
    """The commit that a branch, a tag or a hash names; empty if there is none."""
    for candidate in (f"refs/heads/{name}", f"refs/tags/{name}", name):
        try:
            return git.run("rev-parse", "--verify", "--end-of-options", f"{candidate}^{{commit}}").decode().strip()
        except GitFailed:
            continue
    return ""


def _refusal(status: int, message: str) -> _Answer:
    return _Answer(status, {"message": message, "documentation_url": _DOCUMENTATION, "status": str(status)})
