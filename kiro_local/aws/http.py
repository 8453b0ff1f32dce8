"""moto's web application, served on one loopback port."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

LOOPBACK = "127.0.0.1"

#: Called with each request before it is handled, in the request's own thread: the operation if the service names it in
#: a header, such as ``DynamoDB_20120810.GetItem``, otherwise method and path. It may raise :class:`Refusal`.
RequestListener = Callable[[str], None]


@dataclass(frozen=True)
class Refusal(Exception):
    """Raised by a listener: the service does nothing, and answers with this error in the JSON protocol."""

    code: str
    status: int = HTTPStatus.BAD_REQUEST
    message: str = "an injected fault"

    @property
    def body(self) -> bytes:
        return json.dumps({"__type": self.code, "message": self.message}).encode()


class _QuietHandler(MotoRequestHandler):  # type: ignore[misc]  # moto's classes are not typed
    disable_nagle_algorithm = True  # Nagle's algorithm delays small responses by 40 ms

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Log nothing: a line per request would bury the output that matters."""


class LoopbackServer:
    """Serves all of moto's services on one port of 127.0.0.1."""

    def __init__(self, port: int = 0, on_request: RequestListener | None = None) -> None:
        """Raises OSError if the port is taken."""
        # Bound here, because werkzeug itself prints a message and exits the program.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((LOOPBACK, port))
            listening.listen(128)
            self.port: int = listening.getsockname()[1]
            application = _announcing_requests(DomainDispatcherApplication(create_backend_app), on_request)
            self._server: BaseWSGIServer = make_server(
                LOOPBACK,
                self.port,
                application,
                threaded=True,
                request_handler=_QuietHandler,
                fd=listening.fileno(),
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="embedded-aws", daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop the server. Safe to repeat, and before it has started."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def _announcing_requests(application: Any, listener: RequestListener | None) -> Any:
    if listener is None:
        return application

    def announced(environment: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        target = environment.get("HTTP_X_AMZ_TARGET")
        try:
            listener(target or f"{environment['REQUEST_METHOD']} {environment['PATH_INFO']}")
        except Refusal as refusal:
            status = f"{refusal.status} {HTTPStatus(refusal.status).phrase}"
            start_response(status, [("Content-Type", "application/x-amz-json-1.1")])
            return [refusal.body]
        answer: Iterable[bytes] = application(environment, start_response)
        return answer

    return announced
