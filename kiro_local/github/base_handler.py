"""Reading request bodies and writing answers, for every kind of request."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final

from kiro_local.github.faults import Fault, FaultKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kiro_local.github.backend import Backend
    from kiro_local.github.server import Server
    from kiro_local.github.tokens import Token

JSON_LIMIT: Final = 10_000_000
"""The largest JSON body that is read, in bytes."""
BAD_GATEWAY: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Unicorn! &middot; GitHub</title></head><body><p>502</p></body></html>\n"
)
"""The page that GitHub sends with a 502."""
_CHUNK: Final = 1 << 16


class BaseHandler(BaseHTTPRequestHandler):
    """One connection to the stand-in."""

    protocol_version = "HTTP/1.1"
    server_version = "StandInGitHub"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *_: Any) -> None:
        """Print nothing, because the request log records every request."""

    @property
    def backend(self) -> Backend:
        return self.server.backend

    def token(self) -> Token | None:
        """The token in the ``Authorization`` header, if it is a known one."""
        return self.backend.tokens.from_header(self.headers.get("authorization", ""))

    def lower_headers(self) -> dict[str, str]:
        """The request's headers, with lower-case names."""
        return {name.lower(): value for name, value in self.headers.items()}

    def delay(self, fault: Fault | None) -> None:
        """Wait for the seconds of a SLOW fault, but not after the server stops."""
        if fault and fault.kind is FaultKind.SLOW:
            self.server.stopping.wait(fault.seconds)

    # Reading.

    def body(self, limit: int | None = None) -> Iterator[bytes]:
        """The request body in chunks; raises :class:`ConnectionError` if it ends early or exceeds the limit."""
        total = 0
        is_chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"
        for piece in self._chunked_body() if is_chunked else self._read(int(self.headers.get("content-length") or 0)):
            total += len(piece)
            if limit is not None and total > limit:
                raise ConnectionError("the request is too long")
            yield piece

    def whole_body(self, limit: int) -> bytes:
        return b"".join(self.body(limit))

    def skip_body(self) -> None:
        """Read and discard the body, so that the connection can be reused."""
        for _ in self.body():
            pass

    def _chunked_body(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            yield from self._read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers

    def _read(self, length: int) -> Iterator[bytes]:
        while length:
            piece = self.rfile.read(min(length, _CHUNK))
            if not piece:
                raise ConnectionError("the request ended early")
            length -= len(piece)
            yield piece

    # Writing.

    def reset(self) -> None:
        """Close the connection with a TCP reset instead of an answer."""
        self.close_connection = True
        self.server.reset(self.connection)

    def send_json(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        self.send_body(status, json.dumps(body).encode(), "application/json; charset=utf-8", headers)

    def send_body(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        all_headers = {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}
        for name, value in all_headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
