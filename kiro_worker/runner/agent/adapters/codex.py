"""The Codex CLI. ``--json`` prints one JSON event per line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.agent.adapters.adapter import NUMBER_FIELD, Adapter, Usage, last_text

if TYPE_CHECKING:
    from collections.abc import Sequence

_TURN_COMPLETED: Final = re.compile(r'(?<!\\)"type"\s*:\s*"turn\.completed"')
_TURN_FAILED: Final = re.compile(r'(?<!\\)"type"\s*:\s*"turn\.failed"')
_MESSAGE: Final = re.compile(r'(?<!\\)"type"\s*:\s*"agent_message"')
_TOKENS: Final = re.compile(r'(?<!\\)"(?:input_tokens|output_tokens)"' + NUMBER_FIELD)


def read_codex_usage(lines: Sequence[str]) -> Usage:
    """Return the input and output tokens of all ``turn.completed`` events, and whether there is a ``turn.failed``."""
    completed = [line for line in lines if _TURN_COMPLETED.search(line)]
    tokens = sum(float(count) for line in completed for count in _TOKENS.findall(line))
    return Usage(cost=tokens if completed else None, failed=any(_TURN_FAILED.search(line) for line in lines))


def read_codex_words(lines: Sequence[str]) -> str:
    """Return the text of the last ``agent_message``, else the whole output."""
    return last_text([line for line in lines if _MESSAGE.search(line)] or lines, "text")


CODEX: Final = Adapter(
    name="codex",
    argv=("codex", "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "-"),
    key_variable="CODEX_API_KEY",
    unit="tokens",
    read_usage=read_codex_usage,
    read_words=read_codex_words,
    how_to_install="install the Codex CLI in the build image: npm install --global @openai/codex",
)
