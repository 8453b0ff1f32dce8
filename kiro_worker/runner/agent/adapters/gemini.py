"""The Gemini CLI. ``--output-format json`` prints one JSON object."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.agent.adapters.adapter import NUMBER_FIELD, Adapter, Usage, last_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOTAL_TOKENS: Final = re.compile(r'(?<!\\)"tokens"\s*:\s*\{[^{}]*?"total"' + NUMBER_FIELD)


def read_gemini_usage(lines: Sequence[str]) -> Usage:
    """Return the total tokens of all models in ``stats``."""
    totals = _TOTAL_TOKENS.findall("\n".join(lines))
    return Usage(cost=sum(float(total) for total in totals) if totals else None)


GEMINI: Final = Adapter(
    name="gemini",
    # The CLI appends the text of -p to what it reads from standard input, where the prompt is.
    argv=("gemini", "-p", "Carry out the task above.", "--output-format", "json", "--approval-mode", "yolo"),
    key_variable="GEMINI_API_KEY",
    unit="tokens",
    read_usage=read_gemini_usage,
    read_words=lambda lines: last_text(lines, "response"),
    how_to_install="install the Gemini CLI in the build image: npm install --global @google/gemini-cli",
)
