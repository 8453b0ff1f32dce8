"""Claude Code. ``--output-format json`` prints one JSON object."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.agent.adapters.adapter import NUMBER_FIELD, Adapter, Usage, last_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_COST: Final = re.compile(r'(?<!\\)"total_cost_usd"' + NUMBER_FIELD)
_MILLISECONDS: Final = re.compile(r'(?<!\\)"duration_ms"' + NUMBER_FIELD)
_FAILED: Final = re.compile(r'(?<!\\)"is_error"\s*:\s*true')


def read_claude_usage(lines: Sequence[str]) -> Usage:
    """Return the last ``total_cost_usd`` and ``duration_ms``, and whether ``is_error`` is true."""
    text = "\n".join(lines)
    costs, durations = _COST.findall(text), _MILLISECONDS.findall(text)
    return Usage(
        cost=float(costs[-1]) if costs else None,
        seconds=float(durations[-1]) / 1000 if durations else None,
        failed=_FAILED.search(text) is not None,
    )


CLAUDE: Final = Adapter(
    name="claude",
    argv=("claude", "-p", "--output-format", "json", "--dangerously-skip-permissions"),
    key_variable="ANTHROPIC_API_KEY",
    unit="USD",
    read_usage=read_claude_usage,
    read_words=lambda lines: last_text(lines, "result"),
    how_to_install="install Claude Code in the build image: npm install --global @anthropic-ai/claude-code",
)
