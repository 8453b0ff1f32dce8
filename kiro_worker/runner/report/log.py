"""The build's log: lines on standard output, which CodeBuild keeps, and a file for the output of each program.

Everything is redacted before it is written.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from kiro_worker.redaction import holds_secret, redact
from kiro_worker.runner.sandbox.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LARGEST_FILE: Final = 10 * 1024 * 1024
"""How many characters of a child's output are logged and kept as an artifact, per run. The rest is dropped."""


class Redaction:
    """Removes everything that looks like a credential, and this build's own secrets once they are known."""

    def __init__(self) -> None:
        self._secrets: dict[str, None] = {}

    def know(self, *secrets: str) -> None:
        """Remove these values from now on, and each of their lines, because a log is redacted line by line."""
        for secret in secrets:
            self._secrets |= dict.fromkeys(filter(None, (secret, *map(str.strip, secret.splitlines()))))

    def __call__(self, text: str) -> str:
        """Return ``text`` without secrets."""
        return redact(text, self._secrets)

    def is_in(self, content: bytes) -> bool:
        """Return whether ``content`` contains one of this build's own secrets, plain or encoded."""
        return holds_secret(content.decode(errors="replace"), self._secrets)


class Log:
    """``say`` logs the worker's own messages; ``sink`` logs the lines of a child process, prefixed with its name."""

    def __init__(self, redaction: Redaction, out: TextIO = sys.stdout) -> None:
        self._redaction = redaction
        self._out = out
        self._runs: Counter[Path] = Counter()

    def say(self, text: str) -> None:
        """Redact and log ``text``, line by line, with escapes for what cannot be printed."""
        for line in self._redaction(text).splitlines():
            print(f"[worker] {printable(line)}", file=self._out, flush=True)

    @contextmanager
    def sink(self, name: str, file: Path) -> Iterator[Callable[[str], None]]:
        """Yield a function that logs one line, which must already be redacted, and appends it to ``file``.

        A process that runs several times in a build has one file, in which a line separates the runs.
        """
        written = 0
        self._runs[file] += 1
        with file.open("a", encoding="utf-8") as kept:
            if self._runs[file] > 1:
                kept.write(f"\n── {name}, run {self._runs[file]}\n")

            def line(text: str) -> None:
                nonlocal written
                text = printable(text)
                before, written = written, written + len(text) + 1
                if written <= LARGEST_FILE:
                    kept.write(text + "\n")
                    print(f"[{name}] {text}", file=self._out, flush=True)
                elif before <= LARGEST_FILE:
                    self.say(f"the output of {name} is longer than {LARGEST_FILE} characters: the rest is dropped")

            yield line
