"""The agent's last words, any part of which can be hostile."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.redaction import redact
from kiro_worker.runner.agent.adapters import ADAPTERS
from kiro_worker.runner.agent.last_words import LONGEST_WORDS, last_words

TOKEN = "ghp_" + "0a1b" * 9


def test_last_lines_are_kept_without_blank_ones() -> None:
    text = "".join(f"line {number}\n\n" for number in range(100))
    assert last_words(text, str).splitlines() == [f"line {number}" for number in range(88, 100)]


def test_long_words_are_cut_at_front() -> None:
    words = last_words("a" * 5000 + "The end.", str)
    assert len(words) == LONGEST_WORDS
    assert words.startswith("…a")
    assert words.endswith("The end.")


@pytest.mark.parametrize("padding", range(LONGEST_WORDS - 60, LONGEST_WORDS + 20, 7))
def test_no_part_of_secret_remains(padding: int) -> None:
    words = last_words(f"{TOKEN} {'x' * padding}", redact)
    assert not any(TOKEN[start : start + 8] in words for start in range(len(TOKEN) - 8))


def test_secret_between_terminal_codes_is_redacted() -> None:
    assert last_words(f"key {TOKEN[:9]}\x1b[0m{TOKEN[9:]}", redact) == "key [redacted]"


CONTROLS = st.sampled_from(["\x1b[2J", "\x9b31m", "\u202e", "\ud800", "\r", "\x00", "\u2028"])


@given(st.text() | CONTROLS.map(lambda control: f"a{control}b"))
def test_any_text_becomes_printable(text: str) -> None:
    words = last_words(text, redact)
    assert words.encode().decode() == words
    assert len(words) <= LONGEST_WORDS
    assert not set(words) & set(map(chr, [*range(9), *range(0xB, 0x20), *range(0x7F, 0xA0), 0x202E, 0x2028]))
    assert "\n\n" not in words


SAID = 'I wrote "it".\nDone \\ done.'
OUTPUTS = {
    "kiro": [*SAID.split("\n"), " ▸ Credits: 0.42 • Time: 1m 5s"],
    "claude": [json.dumps({"result": "earlier"}), json.dumps({"result": SAID, "total_cost_usd": 0.1})],
    "codex": [
        json.dumps({"type": "item.completed", "item": {"type": "agent_message", "text": "earlier"}}),
        json.dumps({"type": "item.completed", "item": {"type": "agent_message", "text": SAID}}),
        json.dumps({"type": "item.completed", "item": {"type": "reasoning", "text": "private"}}),
        json.dumps({"type": "turn.completed", "usage": {"input_tokens": 1, "output_tokens": 1}}),
    ],
    "gemini": json.dumps({"response": SAID, "stats": {"models": {}}}, indent=2).splitlines(),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapter_finds_what_agent_said(name: str) -> None:
    assert ADAPTERS[name].read_words(OUTPUTS[name]) == SAID


@pytest.mark.parametrize("name", ADAPTERS)
def test_unknown_output_is_shown_as_it_is(name: str) -> None:
    lines = ["Traceback", '{"result": "cut off']
    assert ADAPTERS[name].read_words(lines) == "\n".join(lines)


def test_escaped_secret_in_json_is_redacted() -> None:
    escaped = "".join(f"\\u{ord(character):04x}" for character in TOKEN)
    words = last_words(ADAPTERS["claude"].read_words([f'{{"result": "key {escaped}"}}']), redact)
    assert words == "key [redacted]"
