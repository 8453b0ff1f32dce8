"""The Kiro CLI, run without a terminal.

The command names a harness, because the default depends on how the CLI is started and on its version. Unless it is
configured, it names V2, the default of a headless run, for three reasons: its exit codes and closing line have been
observed; it does not require a recent Linux; and, unlike V3, it does not rewrite a workspace's agent files when it
starts, which would end up in the commit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.agent_pin import how_to_install
from kiro_worker.runner.agent.adapters.adapter import Adapter, Service, Usage
from kiro_worker.runner.agent.adapters.refusal import Cause, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLOSING_LINE: Final = re.compile(r"Credits:\s*(?P<credits>\d+(?:\.\d+)?)\s*•\s*Time:\s*(?P<time>[\dhms. ]+)")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([hms])")
_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}

_PREFIX: Final = r"^\W*(?:error\W+)?"
_REFUSALS: Final = (
    (re.compile(rf"{_PREFIX}access denied\W+the bearer token", re.IGNORECASE), Cause.KEY),
    (re.compile(rf"{_PREFIX}the monthly usage limit has been reached", re.IGNORECASE), Cause.PLAN),
    (re.compile(rf"{_PREFIX}you have reached the limit for overages", re.IGNORECASE), Cause.PLAN),
    (re.compile(rf"{_PREFIX}(?:\w+ ){{0,2}}rate limit reached(?:[.,:;!]|\W*$)", re.IGNORECASE), Cause.BUSY),
)
_LAST_LINES: Final = 5
"""The CLI ends after such a text. Anywhere else, it comes from a model, a program or a spec."""


def read_kiro_usage(lines: Sequence[str]) -> Usage:
    """Return the sum over all closing lines: ``▸ Credits: 0.01 • Time: 1m 5s``."""
    closing_lines = [match for line in lines if (match := _CLOSING_LINE.search(line))]
    if not closing_lines:
        return Usage()
    cost = sum(float(match["credits"]) for match in closing_lines)
    seconds = sum(
        float(number) * _SECONDS[unit] for match in closing_lines for number, unit in _DURATION.findall(match["time"])
    )
    return Usage(round(cost, 6), seconds)


def read_kiro_refusal(lines: Sequence[str]) -> Refusal | None:
    """Return why Kiro refused the turn, from the last lines of output without a closing line."""
    if any(_CLOSING_LINE.search(line) for line in lines):
        return None
    said = [line for line in lines if line.strip()][-_LAST_LINES:]
    return next(
        (Refusal(cause, line.strip()) for line in said for pattern, cause in _REFUSALS if pattern.search(line)), None
    )


def read_kiro_words(lines: Sequence[str]) -> str:
    """Return the output without the closing lines."""
    return "\n".join(line for line in lines if not _CLOSING_LINE.search(line))


KIRO: Final = Adapter(
    name="kiro",
    argv=("kiro-cli", "chat", "--no-interactive"),
    service=Service("Kiro", "the Kiro service", "https://app.kiro.dev/account/usage"),
    key_variable="KIRO_API_KEY",
    unit="credits",
    read_usage=read_kiro_usage,
    read_refusal=read_kiro_refusal,
    how_to_install=how_to_install("kiro"),
    read_words=read_kiro_words,
)


def kiro_harness(configured: str | None) -> tuple[str, ...]:
    """Return the arguments that choose the harness and let it use every tool."""
    return (f"--{configured or 'v2'}", "--trust-all-tools")
