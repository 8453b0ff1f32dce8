"""The HTTP server: one thread per connection, and the means to reset a connection on purpose."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kiro_local.github.backend import Backend


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1. ``stop`` ends it together with all of its connections and threads."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, backend: Backend, handler: type[BaseHTTPRequestHandler], port: int) -> None:
        self.backend = backend
        self.stopping = threading.Event()
        self._changed = threading.Condition()
        self._connections: set[Any] = set()
        self._to_reset: set[Any] = set()
        super().__init__(("127.0.0.1", port), handler)

    def server_bind(self) -> None:
        """Bind without the base class's lookup of the host name, which can take seconds and is not used."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]  # typed for IPv6 and UNIX sockets too

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._changed:
            reset = request in self._to_reset
            self._to_reset.discard(request)
        if reset:
            # With a linger time of zero, close() sends RST instead of FIN.
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_request(request)
        else:
            super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that disconnected. Any other error is a defect, and the base class prints it."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def reset(self, request: Any) -> None:
        """Mark a connection to be closed with a TCP reset."""
        with self._changed:
            self._to_reset.add(request)

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        with self._changed:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._connections, timeout=10)
        self.server_close()
