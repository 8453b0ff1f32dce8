"""The HTTP server: a thread a connection, and the means to break a connection on purpose."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from kiro_local.github.handler import Handler

if TYPE_CHECKING:
    from kiro_local.github.stand_in import StandInGitHub


class Server(ThreadingHTTPServer):
    """``stop`` ends it with every connection and every thread of its own."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, stand_in: StandInGitHub, port: int) -> None:
        self.stand_in = stand_in
        self.stopping = threading.Event()
        self._open = threading.Condition()
        self._connections: set[Any] = set()
        self._to_reset: set[Any] = set()
        super().__init__(("127.0.0.1", port), Handler)

    def server_bind(self) -> None:
        """Without the base class's look-up of the host's name, which may take seconds and is used nowhere."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]  # typed for IPv6 and UNIX sockets too

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open:
            reset = request in self._to_reset
            self._to_reset.discard(request)
        if reset:
            # Lingering for no time makes close() send RST instead of FIN.
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
        else:
            super().shutdown_request(request)
        with self._open:
            self._connections.discard(request)
            self._open.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is a defect and is shown by the base class."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def reset(self, request: Any) -> None:
        with self._open:
            self._to_reset.add(request)

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        with self._open:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._open.wait_for(lambda: not self._connections, timeout=10)
        self.server_close()
