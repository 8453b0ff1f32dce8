"""Claude Code. ``--output-format json`` prints one JSON object.

It reads the repository's ``CLAUDE.md``, rules, skills and agents, which the guard keeps as they are on the default
branch. It starts no hook and no MCP server of the repository, because those run commands before any turn.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.agent_pin import how_to_install
from kiro_worker.runner.agent.adapters.adapter import NUMBER_FIELD, Adapter, Service, Usage, last_text
from kiro_worker.runner.agent.adapters.refusal import Cause, Refusal, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

_COST: Final = re.compile(r'(?<!\\)"total_cost_usd"' + NUMBER_FIELD)
_MILLISECONDS: Final = re.compile(r'(?<!\\)"duration_ms"' + NUMBER_FIELD)
_FAILED: Final = re.compile(r'(?<!\\)"is_error"\s*:\s*true')
_SERVICE_FAILED: Final = re.compile(r'(?<!\\)"(?:terminal_reason"\s*:\s*"api_error|api_error_status"\s*:\s*\d)')
_STATUS: Final = re.compile(r'(?<!\\)"api_error_status"\s*:\s*(\d{3})\b')
_UNREACHABLE: Final = re.compile(r'(?<!\\)"api_error"\s*:\s*"connection_failed"')


def read_claude_usage(lines: Sequence[str]) -> Usage:
    """Return the last ``total_cost_usd`` and ``duration_ms``, and whether ``is_error`` is true."""
    text = "\n".join(lines)
    costs, durations = _COST.findall(text), _MILLISECONDS.findall(text)
    return Usage(
        cost=float(costs[-1]) if costs else None,
        seconds=float(durations[-1]) / 1000 if durations else None,
        failed=_FAILED.search(text) is not None,
    )


def read_claude_refusal(lines: Sequence[str]) -> Refusal | None:
    """Return why the service refused the turn, from ``api_error_status`` and ``result`` of a failed turn."""
    text = "\n".join(lines)
    if not (_FAILED.search(text) and _SERVICE_FAILED.search(text)):
        return None
    said = last_text(lines, "result")
    if _UNREACHABLE.search(text):
        return Refusal(Cause.NETWORK, said)
    status = _STATUS.search(text)
    return refusal(said, int(status[1]) if status else 0)


CLAUDE: Final = Adapter(
    name="claude",
    argv=(
        *("claude", "-p", "--output-format", "json", "--dangerously-skip-permissions"),
        *("--setting-sources", "project", "--settings", '{"disableAllHooks":true}', "--strict-mcp-config"),
    ),
    service=Service("Anthropic", "api.anthropic.com", "https://console.anthropic.com/settings/billing"),
    key_variable="ANTHROPIC_API_KEY",
    unit="USD",
    read_usage=read_claude_usage,
    read_refusal=read_claude_refusal,
    read_words=lambda lines: last_text(lines, "result"),
    how_to_install=how_to_install("claude"),
    # The tools and the system prompt are most of what a short turn costs.
    trial_arguments=("--tools", "", "--system-prompt", "Answer in one word."),
    # By default, it repeats every refused request for three minutes, even with a key that is not accepted.
    trial_variables={"CLAUDE_CODE_MAX_RETRIES": "2"},
)
