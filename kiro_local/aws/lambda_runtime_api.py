"""The Lambda Runtime API of one process, from which it fetches its next event and to which it reports the result."""

from __future__ import annotations

import queue
import sys
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kiro_local.aws.http import LOOPBACK

_PREFIX = "/2018-06-01/runtime/"
LARGEST_PAYLOAD = 6 * 1024 * 1024
_RESPONSE_TOO_LARGE = (
    b'{"errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).", '
    b'"errorType": "Function.ResponseSizeTooLarge"}'
)


@dataclass(frozen=True)
class Invocation:
    """An event for the process. ``deadline_ms`` is in epoch milliseconds."""

    request_id: str
    function_arn: str
    payload: bytes
    deadline_ms: int


@dataclass(frozen=True)
class Report:
    """What the process did. ``kind`` is ``taken``, ``response``, ``error``, ``init-error`` or ``exit``."""

    kind: str
    body: bytes = b""


class RuntimeApi:
    """The server of the API. Put events into ``invocations``, and get what the process did from ``reports``."""

    def __init__(self) -> None:
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self.invocations: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._server = _Server((LOOPBACK, 0), type("Handler", (_Handler,), {"api": self}))
        self.address = f"{LOOPBACK}:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="lambda-runtime-api", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self.invocations.put(None)  # releases a request that waits for the next event
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # which a killed process causes
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    api: RuntimeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # Nagle's algorithm delays small responses by 40 ms

    def do_GET(self) -> None:
        if self.path != _PREFIX + "invocation/next":
            self._answer(HTTPStatus.NOT_FOUND)
            return
        invocation = self.api.invocations.get()
        if invocation is None:
            self.close_connection = True
            self._answer(HTTPStatus.GONE)
            return
        self.api.reports.put(Report("taken"))
        self._answer(
            HTTPStatus.OK,
            invocation.payload,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
                "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
            },
        )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        report = self._report(body)
        self._answer(HTTPStatus.ACCEPTED if report else HTTPStatus.NOT_FOUND, b'{"status": "OK"}')
        if report:
            self.api.reports.put(report)

    def _report(self, body: bytes) -> Report | None:
        if self.path == _PREFIX + "init/error":
            return Report("init-error", body)
        if not self.path.startswith(_PREFIX + "invocation/"):
            return None
        if self.path.endswith("/error"):
            return Report("error", body)
        if not self.path.endswith("/response"):
            return None
        return Report("error", _RESPONSE_TOO_LARGE) if len(body) > LARGEST_PAYLOAD else Report("response", body)

    def _answer(self, status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # the process was killed during the request

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""
