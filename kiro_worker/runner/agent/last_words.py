"""What the agent said at the end of a turn, made safe for a report, because any part of it can be hostile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.runner.sandbox.output import plain
from kiro_worker.runner.sandbox.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_WORDS: Final = 600
_MOST_LINES: Final = 12


def last_words(text: str, redact: Callable[[str], str]) -> str:
    """Return the last lines of ``text``: without terminal codes and blank lines, redacted, printable and short."""
    lines = [line.rstrip() for line in plain(text).splitlines() if line.strip()][-_MOST_LINES:]
    # Redacted before it is cut, or half a secret could remain.
    words = printable(redact("\n".join(lines)))
    return words if len(words) <= LONGEST_WORDS else f"…{words[1 - LONGEST_WORDS :]}"
