"""The Kiro CLI, run without a terminal.

The command names a harness, because the default depends on how the CLI is started and on its version. It names V2, the
default of a headless run, for three reasons: its exit codes and closing line have been observed; it does not require a
recent Linux; and, unlike V3, it does not rewrite a workspace's agent files when it starts, which would end up in the
commit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.agent_pin import HOW_TO_PIN
from kiro_worker.runner.agent.adapters.adapter import Adapter, Refusal, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLOSING_LINE: Final = re.compile(r"Credits:\s*(?P<credits>\d+(?:\.\d+)?)\s*•\s*Time:\s*(?P<time>[\dhms. ]+)")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([hms])")
_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}

_PREFIX: Final = r"^\W*(?:error\W+)?"
_NEW_KEY: Final = Refusal(
    "the Kiro API key is not accepted",
    "aws secretsmanager put-secret-value --secret-id kiro-worker-<env>-kiro-api-key --secret-string <key>, with a valid"
    " key; then redrive the execution",
)
_QUOTA: Final = Refusal(
    "the quota or the credits of the Kiro API key are used up",
    "raise the limit or add credits at https://app.kiro.dev/account/usage, wait until the quota resets, or store the"
    " key of another account in the secret kiro-worker-<env>-kiro-api-key; then redrive the execution",
)
_RATE: Final = Refusal("the rate limit of the Kiro API key is reached", "wait, then redrive the execution")
_REFUSALS: Final = (
    (re.compile(rf"{_PREFIX}access denied\W+the bearer token", re.IGNORECASE), _NEW_KEY),
    (re.compile(rf"{_PREFIX}the monthly usage limit has been reached", re.IGNORECASE), _QUOTA),
    (re.compile(rf"{_PREFIX}you have reached the limit for overages", re.IGNORECASE), _QUOTA),
    (re.compile(rf"{_PREFIX}(?:\w+ ){{0,2}}rate limit reached(?:[.,:;!]|\W*$)", re.IGNORECASE), _RATE),
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
    return next((refusal for line in said for pattern, refusal in _REFUSALS if pattern.search(line)), None)


def read_kiro_words(lines: Sequence[str]) -> str:
    """Return the output without the closing lines."""
    return "\n".join(line for line in lines if not _CLOSING_LINE.search(line))


KIRO: Final = Adapter(
    name="kiro",
    argv=("kiro-cli", "chat", "--no-interactive", "--v2", "--trust-all-tools"),
    key_variable="KIRO_API_KEY",
    unit="credits",
    read_usage=read_kiro_usage,
    read_refusal=read_kiro_refusal,
    how_to_install=HOW_TO_PIN,
    read_words=read_kiro_words,
)
