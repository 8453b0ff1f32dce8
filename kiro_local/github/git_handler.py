"""Answers git and LFS requests over HTTP: checks access, applies the pending fault, and logs the request."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from kiro_local.github.base_handler import BAD_GATEWAY
from kiro_local.github.faults import Fault, FaultKind
from kiro_local.github.git_http import start_exchange
from kiro_local.github.lfs_http import (
    LARGEST_BATCH,
    MEDIA_TYPE,
    LfsRequest,
    batch_answer,
    object_file,
    store_object,
)
from kiro_local.github.request_log import LoggedRequest

if TYPE_CHECKING:
    from kiro_local.github.base_handler import BaseHandler
    from kiro_local.github.git_http import GitRequest
    from kiro_local.github.model import Repository
    from kiro_local.github.tokens import Token


@dataclass(frozen=True)
class _Refusal:
    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)


_UNAUTHENTICATED: Final = _Refusal(401, "Invalid username or token.", {"WWW-Authenticate": 'Basic realm="GitHub"'})
_NOT_FOUND: Final = _Refusal(404, "Repository not found.")
_SINGLE_SIGN_ON: Final = _Refusal(
    403,
    "The 'acme' organization has enabled or enforced SAML SSO.\nTo access this repository, visit"
    " https://github.com/orgs/acme/sso?authorization_request=x and try your request again.",
)


def answer_git(http: BaseHandler, request: GitRequest | LfsRequest) -> None:
    """Answer one git or LFS request, or apply the pending fault to it."""
    backend = http.backend
    backend.on_request(request.operation)
    token = http.token()
    login = token.login if token else ""
    fault = backend.faults.take(request.operation)
    http.delay(fault)
    if fault and fault.kind is FaultKind.RESET:
        _log(http, request, login, 0, fault)
        http.reset()
    elif refusal := _refusal(request, token, fault):
        _log(http, request, login, refusal.status, fault)
        http.skip_body()
        kind = "text/html" if refusal.status == 502 else "text/plain"
        text = refusal.text.encode() + b"\n"
        http.send_body(refusal.status, text, f"{kind}; charset=utf-8", refusal.headers)
    elif isinstance(request, LfsRequest):
        _answer_lfs(http, request, login, fault)
    else:
        _run_backend(http, request, login, fault)


def _refusal(request: GitRequest | LfsRequest, token: Token | None, fault: Fault | None) -> _Refusal | None:
    """The refusal of a request that must not reach git, or ``None``."""
    match fault.kind if fault else None:
        case FaultKind.BAD_GATEWAY:
            return _Refusal(502, BAD_GATEWAY.decode())
        case FaultKind.FORBIDDEN | FaultKind.INSUFFICIENT_SCOPES:
            return _Refusal(403, "Write access to repository not granted.")
        case FaultKind.SINGLE_SIGN_ON:
            return _SINGLE_SIGN_ON
        case FaultKind.NOT_FOUND:
            return _NOT_FOUND
        case FaultKind.SERVER_ERROR:
            return _Refusal(fault.status if fault else 500, "Internal Server Error")
        case FaultKind.RATE_LIMITED | FaultKind.SECONDARY_LIMIT:
            seconds = fault.seconds if fault else 0
            return _Refusal(429, "You have exceeded a rate limit.", {"retry-after": f"{seconds:.0f}"})
        case FaultKind.UNAUTHORIZED:
            token = None
    if token is None or not token.reaches_repositories:
        return _UNAUTHENTICATED
    if request.repository is None:
        return _NOT_FOUND
    if request.writes and request.repository.is_archived:
        return _Refusal(403, "This repository was archived so it is read-only.")
    return None


def _run_backend(http: BaseHandler, request: GitRequest, login: str, fault: Fault | None) -> None:
    """Stream the request to ``git http-backend``, and its answer back."""
    exchange = start_exchange(http.backend.board, request, http.lower_headers(), login, http.body())
    try:
        if fault and fault.kind is FaultKind.LOST_ANSWER:
            for _ in exchange.body():
                pass  # let git finish its work
            _log(http, request, login, 0, fault)
            http.reset()
            return
        http.send_response(exchange.status)
        for name, value in exchange.headers:
            http.send_header(name, value)
        http.send_header("Transfer-Encoding", "chunked")
        _log(http, request, login, exchange.status, fault)
        http.end_headers()
        for chunk in exchange.body():
            if fault and fault.kind is FaultKind.HANG_UP:
                http.wfile.write(b"%x\r\n%b" % (len(chunk), chunk[: len(chunk) // 2]))
                exchange.abort()
                http.close_connection = True
                return
            http.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        http.wfile.write(b"0\r\n\r\n")
    except ConnectionError:
        exchange.abort()
        http.close_connection = True
    finally:
        if not exchange.close():
            http.close_connection = True


def _answer_lfs(http: BaseHandler, request: LfsRequest, login: str, fault: Fault | None) -> None:
    assert request.repository is not None  # noqa: S101  # an unknown repository was refused before
    status, body, content_type = _lfs_answer(http, request, request.repository)
    if fault and fault.kind is FaultKind.LOST_ANSWER:
        _log(http, request, login, 0, fault)
        http.reset()
        return
    _log(http, request, login, status, fault)
    http.send_body(status, body, content_type)


def _lfs_answer(http: BaseHandler, request: LfsRequest, repository: Repository) -> tuple[int, bytes, str]:
    """Status, body and content type."""
    match request.operation:
        case "lfs-batch":
            url = f"http://{http.headers['host']}{urlsplit(http.path).path.removesuffix('/objects/batch')}"
            raw = http.whole_body(LARGEST_BATCH)
            status, document = batch_answer(repository, raw, url, http.headers.get("authorization", ""))
            return status, json.dumps(document).encode(), MEDIA_TYPE
        case "lfs-upload":
            stored = store_object(repository, request.oid, http.body())
            return 200 if stored else 422, b"", "text/plain"
        case _:
            file = object_file(repository, request.oid)
            exists = file.is_file()
            return 200 if exists else 404, file.read_bytes() if exists else b"", "application/octet-stream"


def _log(http: BaseHandler, request: GitRequest | LfsRequest, login: str, status: int, fault: Fault | None) -> None:
    variables = {"repository": request.name_with_owner}
    if isinstance(request, LfsRequest) and request.oid:
        variables["oid"] = request.oid
    http.backend.requests.add(
        LoggedRequest("git", request.operation, variables, login, status, fault=str(fault.kind) if fault else "")
    )
