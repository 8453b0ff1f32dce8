"""The output of a process, line by line."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

_LONGEST_LINE = 256 * 1024  # the limit of a CloudWatch Logs event


class LineReader:
    """Reads a pipe to its end in a thread, passes each line to ``on_line``, and closes the descriptor."""

    def __init__(self, descriptor: int, on_line: Callable[[str], None]) -> None:
        self._descriptor, self._on_line = descriptor, on_line
        self._processing = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._read, name="log-lines", daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait up to ``seconds`` for the end of the output."""
        self._thread.join(seconds)

    def pending(self) -> bool:
        """Whether there is output that has not been passed on yet."""
        with self._processing:
            return not self._closed and bool(select.select([self._descriptor], [], [], 0)[0])

    def _read(self) -> None:
        rest: bytes | None = b""
        try:
            while rest is not None:
                select.select([self._descriptor], [], [])
                # Reading and passing on are one step for pending(): what has left the pipe has reached on_line.
                with self._processing:
                    rest = self._read_chunk(rest)
        finally:
            with self._processing:
                self._closed = True
                os.close(self._descriptor)

    def _read_chunk(self, rest: bytes) -> bytes | None:
        """Pass on the lines that the next chunk completes, and return the incomplete one; None at the end."""
        chunk = os.read(self._descriptor, 65536)
        if not chunk:
            if rest:
                self._pass_on(rest)
            return None
        # A carriage return ends a line too, as in progress bars and in the Lambda runtime's stack traces.
        *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._pass_on(line)
        if len(rest) > _LONGEST_LINE:
            self._pass_on(rest)
            return b""
        return rest

    def _pass_on(self, line: bytes) -> None:
        self._on_line(line[:_LONGEST_LINE].decode(errors="replace"))
