"""The Gemini CLI. ``--output-format json`` prints one JSON object.

Without ``--skip-trust``, it ends with exit code 55 in every folder that nobody has marked as trusted. With it, the
repository's ``.gemini`` folder and ``.env`` file apply, which can name another server for the key, so the guard keeps
them as they are on the default branch.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.agent_pin import how_to_install
from kiro_worker.runner.agent.adapters.adapter import NUMBER_FIELD, Adapter, Service, Usage, last_text
from kiro_worker.runner.agent.adapters.refusal import Cause, Refusal, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

# Those of a model follow its "api". Those of its "roles", which are part of them, do not.
_TOTAL_TOKENS: Final = re.compile(r'\}\s*,\s*"tokens"\s*:\s*\{[^{}]*?"total"' + NUMBER_FIELD)
_ERROR: Final = re.compile(
    r'(?<!\\)"error"\s*:\s*\{[^{}]*?"message"\s*:\s*(?:"(?:[^"\\]|\\.)*")\s*,\s*"code"\s*:\s*(\d+)'
)
_ATTEMPT: Final = re.compile(r"^Attempt \d+ failed(?: with status (\d{3}))?\. Retrying with backoff\.\.\. (.*)")
_KEY_CODE: Final = 41
"""The CLI's own exit code for a failed authentication: its documentation, “Exit codes”."""


def read_gemini_usage(lines: Sequence[str]) -> Usage:
    """Return the total tokens of all models in ``stats``."""
    totals = _TOTAL_TOKENS.findall("\n".join(lines))
    return Usage(cost=sum(float(total) for total in totals) if totals else None)


def read_gemini_refusal(lines: Sequence[str]) -> Refusal | None:
    """Return why the service refused the turn: from the final ``error``, or else the last attempt that it reports."""
    text = "\n".join(lines)
    if _TOTAL_TOKENS.search(text):
        return None
    if errors := list(_ERROR.finditer(text)):
        message, code = last_text([errors[-1][0]], "message"), int(errors[-1][1])
        return Refusal(Cause.KEY, message) if code == _KEY_CODE else refusal(message, code)
    attempts = [match for line in lines if (match := _ATTEMPT.match(line))]
    return refusal(attempts[-1][2], int(attempts[-1][1] or 0)) if attempts else None


GEMINI: Final = Adapter(
    name="gemini",
    # The CLI appends the text of -p to what it reads from standard input, where the prompt is.
    argv=(
        *("gemini", "-p", "Carry out the task above.", "--output-format", "json", "--approval-mode", "yolo"),
        "--skip-trust",
    ),
    service=Service("Gemini", "generativelanguage.googleapis.com", "https://aistudio.google.com/usage"),
    key_variable="GEMINI_API_KEY",
    unit="tokens",
    read_usage=read_gemini_usage,
    read_refusal=read_gemini_refusal,
    read_words=lambda lines: last_text(lines, "response"),
    how_to_install=how_to_install("gemini"),
)
