"""The speed of redacting ordinary output: redaction alone, and the whole path from bytes to lines.

The redaction knows as many secrets as a build's redaction does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from bench.figure import Clock, Figure
from bench.text import ordinary
from kiro_worker.runner.report.log import Redaction
from kiro_worker.runner.sandbox.output import Lines

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS: Final = 3
_READ: Final = 1 << 16
_SIZE: Final = 20_000_000


def known_secrets() -> Redaction:
    """Return a redaction that knows as many secrets as a build's, of the usual length."""
    redaction = Redaction()
    password = "hF83kdLw02mXn45bVqa9/+Zt"  # noqa: S105  # invented
    redaction.know(password, f"git:{password}", "ksk_" + "a1B2c3D4" * 5, "ghp_" + "Z9y8X7w6V5" * 3 + "abcdef")
    return redaction


def measure() -> list[Figure]:
    """Return the redaction's figures."""
    text, redaction = ordinary(_SIZE), known_secrets()
    data = text.encode()
    blocks = [text[at : at + _READ] for at in range(0, len(text), _READ)]

    def redact_blocks() -> None:
        for block in blocks:
            redaction(block)

    def read_lines() -> None:
        lines = Lines(redaction)
        for at in range(0, len(data), _READ):
            for _line in lines.feed(data[at : at + _READ]):
                pass

    alone, whole = _speed(redact_blocks, len(data)), _speed(read_lines, len(data))
    return [
        Figure("redaction of ordinary text", f"{alone:.0f} MB/s", value=alone, unit="MB/s", at_least=50),
        Figure("  from bytes to redacted lines", f"{whole:.0f} MB/s"),
    ]


def _speed(work: Callable[[], None], size: int) -> float:
    clock = Clock(time.process_time)
    for _ in range(RUNS):
        with clock.running():
            work()
    return size / 1e6 / clock.seconds
