"""One HTTP request: GraphQL, git, its LFS, a page for people, or the switches of the stand-in itself."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from kiro_local.github import pages
from kiro_local.github.faults import Fault, FaultKind
from kiro_local.github.git_http import GitRequest, parse_git_request, start_exchange
from kiro_local.github.lfs_http import (
    LARGEST_BATCH,
    MEDIA_TYPE,
    LfsRequest,
    batch_answer,
    object_file,
    parse_lfs_request,
    take_object,
)
from kiro_local.github.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kiro_local.github.graphql_api import Answer
    from kiro_local.github.server import Server
    from kiro_local.github.stand_in import StandInGitHub

_LARGEST_GRAPHQL_BODY: Final = 10_000_000
_CHUNK: Final = 1 << 16
_BAD_GATEWAY: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Unicorn! &middot; GitHub</title></head><body><p>502</p></body></html>\n"
)
_GRAPHQL_PATHS: Final = ("/graphql", "/api/graphql")
_ADMIN: Final = "/_stand_in/"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "StandInGitHub"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_PUT(self) -> None:
        self._route()

    def do_DELETE(self) -> None:
        self._route()

    def log_message(self, *_: Any) -> None:
        """Silence: what happened is in the records."""

    def _route(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        board = self._stand_in.board
        request = parse_git_request(
            board, self.command, path, parse_qs(url.query), self._lower_headers()
        ) or parse_lfs_request(board, self.command, path)
        if request is not None:
            self._git(request)
        elif path in _GRAPHQL_PATHS and self.command == "POST":
            self._graphql()
        elif path.startswith(_ADMIN):
            self._admin(path.removeprefix(_ADMIN))
        elif self.command == "GET":
            page = pages.page(self._stand_in.board, path)
            self._send(
                200 if page else 404, (page or pages.missing()).encode(), "text/html; charset=utf-8", pages.HEADERS
            )
        else:
            self._send_json(404, {"message": "Not Found"})

    @property
    def _stand_in(self) -> StandInGitHub:
        return self.server.stand_in

    # GraphQL

    def _graphql(self) -> None:
        stand_in = self._stand_in
        raw = b"".join(self._body(_LARGEST_GRAPHQL_BODY))
        try:
            body = json.loads(raw)
            if not isinstance(body, dict):
                raise ValueError
        except ValueError:
            self._send_json(
                400, {"message": "Problems parsing JSON", "documentation_url": "https://docs.github.com/graphql"}
            )
            return
        name = stand_in.api.operation_name(body)
        stand_in.on_request(name)
        token = stand_in.tokens.of_header(self.headers.get("authorization", ""))
        fault = stand_in.faults.take(name)
        if fault and fault.kind is FaultKind.SLOW:
            self.server.stopping.wait(fault.seconds)

        def record(answer: Answer | None, status: int) -> None:
            cost, errors = (answer.cost, answer.errors) if answer else (0, ())
            login = token.login if token else ""
            stand_in.requests.add(
                Record(
                    "graphql",
                    name,
                    body.get("variables") or {},
                    login,
                    status,
                    cost,
                    errors,
                    str(fault.kind) if fault else "",
                )
            )

        if fault and fault.kind is FaultKind.RESET:
            record(None, 0)
            self._reset()
            return
        if fault and fault.kind is FaultKind.BAD_GATEWAY:
            record(None, 502)
            self._send(502, _BAD_GATEWAY, "text/html; charset=utf-8")
            return
        if not self.headers.get("user-agent"):
            record(None, 403)
            self._send(
                403,
                b"Request forbidden by administrative rules. Please make sure your request has a User-Agent header\n",
                "text/plain",
            )
            return
        if token is None:
            known = "authorization" in self.headers
            answer = stand_in.api.unauthorized(
                "Bad credentials" if known else "This endpoint requires you to be authenticated."
            )
        else:
            answer = stand_in.api.answer(token, body, fault)
        if fault and fault.kind is FaultKind.LOST_ANSWER:
            record(answer, 0)
            self._reset()
            return
        record(answer, answer.status)
        self._send_json(answer.status, answer.body, answer.headers)

    # Git.

    def _git(self, request: GitRequest | LfsRequest) -> None:
        stand_in = self._stand_in
        stand_in.on_request(request.operation)
        token = stand_in.tokens.of_header(self.headers.get("authorization", ""))
        fault = stand_in.faults.take(request.operation)
        if fault and fault.kind is FaultKind.SLOW:
            self.server.stopping.wait(fault.seconds)
        if fault and fault.kind is FaultKind.RESET:
            self._record_git(request, token.login if token else "", 0, fault)
            self._reset()
            return
        refused = self._git_refusal(request, fault)
        if refused is None and token is not None:
            if isinstance(request, LfsRequest):
                self._lfs(request, token.login, fault)
            else:
                self._exchange(request, token.login, fault)
            return
        status, text, headers = refused or (
            401,
            "Invalid username or token.",
            {"WWW-Authenticate": 'Basic realm="GitHub"'},
        )
        self._record_git(request, token.login if token else "", status, fault)
        for _ in self._body():
            pass  # so that the connection can be used again
        kind = "text/html" if status == 502 else "text/plain"
        self._send(status, text.encode() + b"\n", f"{kind}; charset=utf-8", headers)

    def _git_refusal(
        self, request: GitRequest | LfsRequest, fault: Fault | None
    ) -> tuple[int, str, dict[str, str]] | None:
        """Status, text and headers, where git is not even started."""
        token = self._stand_in.tokens.of_header(self.headers.get("authorization", ""))
        match fault.kind if fault else None:
            case FaultKind.BAD_GATEWAY:
                return 502, _BAD_GATEWAY.decode(), {}
            case FaultKind.FORBIDDEN | FaultKind.INSUFFICIENT_SCOPES:
                return 403, "Write access to repository not granted.", {}
            case FaultKind.RATE_LIMITED | FaultKind.SECONDARY_LIMIT:
                return 429, "You have exceeded a rate limit.", {"retry-after": f"{fault.seconds:.0f}" if fault else "0"}
            case FaultKind.UNAUTHORIZED:
                token = None
        if token is None or not token.reaches_repositories:
            return 401, "Invalid username or token.", {"WWW-Authenticate": 'Basic realm="GitHub"'}
        if request.repository is None:
            return 404, "Repository not found.", {}
        if request.writes and request.repository.is_archived:
            return 403, "This repository was archived so it is read-only.", {}
        return None

    def _exchange(self, request: GitRequest, login: str, fault: Fault | None) -> None:
        exchange = start_exchange(self._stand_in.board, request, self._lower_headers(), login, self._body())
        try:
            if fault and fault.kind is FaultKind.LOST_ANSWER:
                for _ in exchange.body():
                    pass  # git does its work to the end
                self._record_git(request, login, 0, fault)
                self._reset()
                return
            self.send_response(exchange.status)
            for name, value in exchange.headers:
                self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self._record_git(request, login, exchange.status, fault)
            self.end_headers()
            for chunk in exchange.body():
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            exchange.abort()
            self.close_connection = True
        finally:
            if not exchange.close():
                self.close_connection = True

    def _lfs(self, request: LfsRequest, login: str, fault: Fault | None) -> None:
        repository = request.repository
        assert repository is not None  # noqa: S101  # an unknown one was refused
        file = object_file(repository, request.oid)
        match request.operation:
            case "lfs-batch":
                address = f"http://{self.headers['host']}{urlsplit(self.path).path.removesuffix('/objects/batch')}"
                raw = b"".join(self._body(LARGEST_BATCH))
                status, document = batch_answer(repository, raw, address, self.headers.get("authorization", ""))
                body, kind = json.dumps(document).encode(), MEDIA_TYPE
            case "lfs-upload":
                status = 200 if take_object(repository, request.oid, self._body()) else 422
                body, kind = b"", "text/plain"
            case _:
                status = 200 if file.is_file() else 404
                body, kind = file.read_bytes() if file.is_file() else b"", "application/octet-stream"
        if fault and fault.kind is FaultKind.LOST_ANSWER:
            self._record_git(request, login, 0, fault)
            self._reset()
            return
        self._record_git(request, login, status, fault)
        self._send(status, body, kind)

    def _record_git(self, request: GitRequest | LfsRequest, login: str, status: int, fault: Fault | None) -> None:
        variables = {"repository": request.name_with_owner}
        if isinstance(request, LfsRequest) and request.oid:
            variables["oid"] = request.oid
        self._stand_in.requests.add(
            Record("git", request.operation, variables, login, status, fault=str(fault.kind) if fault else "")
        )

    # Admin.

    def _admin(self, what: str) -> None:
        stand_in = self._stand_in
        raw = b"".join(self._body(_LARGEST_GRAPHQL_BODY))
        match self.command, what:
            case "GET", "faults":
                self._send_json(200, [fault.to_dict() for fault in stand_in.faults.waiting()])
            case "DELETE", "faults":
                stand_in.faults.clear()
                self._send_json(200, [])
            case "POST", "faults":
                # A page in a browser cannot send this content type to another origin without asking first.
                if self.headers.get_content_type() != "application/json":
                    self._send_json(415, {"message": "the content type must be application/json"})
                    return
                try:
                    fault = Fault.from_dict(json.loads(raw))
                except (ValueError, TypeError, AttributeError) as error:
                    self._send_json(400, {"message": str(error), "kinds": [str(kind) for kind in FaultKind]})
                    return
                stand_in.faults.add_fault(fault)
                self._send_json(201, fault.to_dict())
            case "GET", "requests":
                self._send_json(200, [vars(record) for record in stand_in.requests])
            case _:
                self._send_json(404, {"message": "Not Found"})

    # Reading, writing.

    def _lower_headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _body(self, limit: int | None = None) -> Iterator[bytes]:
        """The request's body in pieces; :class:`ConnectionError` where it ends early or is too long."""
        total = 0
        for piece in (
            self._chunks() if self.headers.get("transfer-encoding", "").lower() == "chunked" else self._plain()
        ):
            total += len(piece)
            if limit is not None and total > limit:
                raise ConnectionError("the request is too long")
            yield piece

    def _plain(self) -> Iterator[bytes]:
        left = int(self.headers.get("content-length") or 0)
        while left:
            piece = self.rfile.read(min(left, _CHUNK))
            if not piece:
                raise ConnectionError("the request ended early")
            left -= len(piece)
            yield piece

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            left = size
            while left:
                piece = self.rfile.read(min(left, _CHUNK))
                if not piece:
                    raise ConnectionError("the request ended early")
                left -= len(piece)
                yield piece
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers

    def _reset(self) -> None:
        self.close_connection = True
        self.server.reset(self.connection)

    def _send_json(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), "application/json; charset=utf-8", headers)

    def _send(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        lines: Iterable[tuple[str, str]] = {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items()
        for name, value in lines:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
