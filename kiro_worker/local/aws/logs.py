"""What functions and builds write: line by line to whoever listens, and into the log group where AWS would put it."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from moto.logs.exceptions import ResourceAlreadyExistsException, ResourceNotFoundException
from moto.logs.models import LogsBackend, logs_backends

from kiro_worker.local.aws.session import ACCOUNT, REGION

_LONGEST_LINE = 256 * 1024  # of a CloudWatch Logs event
_LINES_KEPT = 2000
_writing = threading.Lock()  # moto's log streams are not thread-safe


class LogStream:
    """One stream of a log group, the last lines of it in memory, and a listener."""

    def __init__(self, group: str, stream: str, listener: Callable[[str], None] | None = None) -> None:
        self.group, self.stream = group, stream
        self.last_lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._listener = listener
        backend: LogsBackend = logs_backends[ACCOUNT][REGION]
        with _writing:
            backend.ensure_log_group(group)
            with suppress(ResourceAlreadyExistsException):
                backend.create_log_stream(group, stream)
        self._backend = backend

    def write(self, line: str) -> None:
        self.last_lines.append(line)
        event = {"timestamp": int(time.time() * 1000), "message": line}
        # Somebody may have deleted the group meanwhile: the lines still reach the listener.
        with _writing, suppress(ResourceNotFoundException):
            self._backend.put_log_events(self.group, self.stream, [event])
        if self._listener:
            self._listener(line)


class LineReader:
    """Reads a pipe to its end, in a thread, and gives each line on. The descriptor is closed at the end."""

    def __init__(self, descriptor: int, on_line: Callable[[str], None]) -> None:
        self._descriptor, self._on_line = descriptor, on_line
        self._closing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._read, name="log-lines", daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def pending(self) -> bool:
        """Whether something was written that has not been read."""
        with self._closing:
            return not self._closed and bool(select.select([self._descriptor], [], [], 0)[0])

    def _read(self) -> None:
        rest = b""
        try:
            while chunk := os.read(self._descriptor, 65536):
                # A carriage return ends a line too: progress bars, and the Lambda runtime's stack traces.
                *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
                for line in lines:
                    self._give(line)
                if len(rest) > _LONGEST_LINE:
                    self._give(rest)
                    rest = b""
        finally:
            if rest:
                self._give(rest)
            with self._closing:
                self._closed = True
                os.close(self._descriptor)

    def _give(self, line: bytes) -> None:
        self._on_line(line[:_LONGEST_LINE].decode(errors="replace"))
