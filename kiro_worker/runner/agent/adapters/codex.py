"""The Codex CLI. ``--json`` prints one JSON event per line.

It reads the repository's ``AGENTS.md`` files and skills. It does not read the repository's ``.codex/config.toml``,
because nobody has marked the folder as trusted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.agent_pin import how_to_install
from kiro_worker.runner.agent.adapters.adapter import NUMBER_FIELD, Adapter, Service, Usage, last_text
from kiro_worker.runner.agent.adapters.refusal import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.runner.agent.adapters.refusal import Refusal

_TURN_COMPLETED: Final = re.compile(r'(?<!\\)"type"\s*:\s*"turn\.completed"')
_TURN_FAILED: Final = re.compile(r'(?<!\\)"type"\s*:\s*"turn\.failed"')
_ERROR: Final = re.compile(r'^\{"type"\s*:\s*"(?:turn\.failed|error)"')
_MESSAGE: Final = re.compile(r'(?<!\\)"type"\s*:\s*"agent_message"')
_TOKENS: Final = re.compile(r'(?<!\\)"(?:input_tokens|output_tokens)"' + NUMBER_FIELD)
_STATUS: Final = re.compile(r"status:? (\d{3})\b")


def read_codex_usage(lines: Sequence[str]) -> Usage:
    """Return the input and output tokens of all ``turn.completed`` events, and whether there is a ``turn.failed``."""
    completed = [line for line in lines if _TURN_COMPLETED.search(line)]
    tokens = sum(float(count) for line in completed for count in _TOKENS.findall(line))
    return Usage(cost=tokens if completed else None, failed=any(_TURN_FAILED.search(line) for line in lines))


def read_codex_refusal(lines: Sequence[str]) -> Refusal | None:
    """Return why the service refused the turn, from the last event of an error in a turn that did not complete."""
    errors = [line for line in lines if _ERROR.match(line)]
    if not errors or any(_TURN_COMPLETED.search(line) for line in lines):
        return None
    message = last_text(errors[-1:], "message")
    status = _STATUS.search(message)
    return refusal(message, int(status[1]) if status else 0)


def read_codex_words(lines: Sequence[str]) -> str:
    """Return the text of the last ``agent_message``, else the whole output."""
    return last_text([line for line in lines if _MESSAGE.search(line)] or lines, "text")


CODEX: Final = Adapter(
    name="codex",
    argv=(
        *("codex", "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
        *("--ephemeral", "--ignore-user-config", "--ignore-rules"),
    ),
    last_arguments=("-",),
    service=Service("OpenAI", "api.openai.com", "https://platform.openai.com/settings/organization/billing"),
    key_variable="CODEX_API_KEY",
    unit="tokens",
    read_usage=read_codex_usage,
    read_refusal=read_codex_refusal,
    read_words=read_codex_words,
    how_to_install=how_to_install("codex"),
)
