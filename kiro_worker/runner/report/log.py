"""The build's log: plain lines on standard output, which CodeBuild keeps, and a file for each child's own output.
Nothing is written that was not redacted.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from kiro_worker.redaction import holds_secret, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LARGEST_FILE: Final = 10 * 1024 * 1024
"""Characters of a child's output that are kept as an artifact and shown in the log; what follows is only counted."""


class Redaction:
    """Takes out all that is shaped like a credential, and the very secrets of this build as they become known."""

    def __init__(self) -> None:
        self._secrets: dict[str, None] = {}

    def know(self, *secrets: str) -> None:
        """From now on these values are taken out, too; of several lines, each, for a log is redacted line by line."""
        for secret in secrets:
            self._secrets |= dict.fromkeys(filter(None, (secret, *map(str.strip, secret.splitlines()))))

    def __call__(self, text: str) -> str:
        return redact(text, self._secrets)

    def is_in(self, content: bytes) -> bool:
        """Whether one of the very secrets is in ``content``, plain or encoded."""
        return holds_secret(content.decode(errors="replace"), self._secrets)


class Log:
    """``say`` is the worker's own voice; ``sink`` makes one for a child, named in front of each of its lines."""

    def __init__(self, redaction: Redaction, out: TextIO = sys.stdout) -> None:
        self._redaction = redaction
        self._out = out

    def say(self, text: str) -> None:
        """A sentence, or several lines of it."""
        for line in self._redaction(text).splitlines():
            print(f"[worker] {line}", file=self._out, flush=True)

    @contextmanager
    def sink(self, name: str, file: Path) -> Iterator[Callable[[str], None]]:
        """For lines that are redacted already."""
        written = 0
        with file.open("w", encoding="utf-8") as kept:

            def line(text: str) -> None:
                nonlocal written
                before, written = written, written + len(text) + 1
                if written <= LARGEST_FILE:
                    kept.write(text + "\n")
                    print(f"[{name}] {text}", file=self._out, flush=True)
                elif before <= LARGEST_FILE:
                    self.say(f"the output of the {name} goes on, but no more of it is kept")

            yield line
