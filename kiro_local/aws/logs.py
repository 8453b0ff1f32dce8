"""Writes the output of functions and builds to the log groups that AWS uses, and passes it to a listener."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from moto.logs.exceptions import ResourceAlreadyExistsException, ResourceNotFoundException
from moto.logs.models import LogsBackend, logs_backends

from kiro_local.aws.session import ACCOUNT, REGION

_LINES_KEPT = 2000
_writing = threading.Lock()  # moto's log streams are not thread-safe


class LogStream:
    """One stream of a log group. It also keeps its last lines in memory and passes each line to a listener."""

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
        # The group may have been deleted since. The lines still reach the listener.
        with _writing, suppress(ResourceNotFoundException):
            self._backend.put_log_events(self.group, self.stream, [event])
        if self._listener:
            self._listener(line)
