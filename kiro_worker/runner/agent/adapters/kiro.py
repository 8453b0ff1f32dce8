"""The Kiro CLI, run without a terminal.

The command names a harness, because the default depends on how the CLI is started and on its version. It names V2, the
default of a headless run, for three reasons: its exit codes and closing line have been observed; it does not require a
recent Linux; and, unlike V3, it does not rewrite a workspace's agent files when it starts, which would end up in the
commit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.agent.adapters.adapter import Adapter, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLOSING_LINE: Final = re.compile(r"Credits:\s*(?P<credits>\d+(?:\.\d+)?)\s*•\s*Time:\s*(?P<time>[\dhms. ]+)")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([hms])")
_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}


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


KIRO: Final = Adapter(
    name="kiro",
    argv=("kiro-cli", "chat", "--no-interactive", "--v2", "--trust-all-tools"),
    key_variable="KIRO_API_KEY",
    unit="credits",
    read_usage=read_kiro_usage,
    how_to_install="set KIRO_CLI_URL and KIRO_CLI_SHA256 of the CodeBuild project: make deploy with"
    " --context kiroCliUrl=… --context kiroCliSha256=…",
)
