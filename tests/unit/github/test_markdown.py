"""Untrusted text in Markdown stays code."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.github.markdown import block, code, link


@given(st.text())
def test_text_stays_inside_inline_code(text: str) -> None:
    shown = code(text)
    fence = re.match("`+", shown)
    assert fence
    assert "\n" not in shown
    inside = shown[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall("`+", inside)


@given(st.text())
def test_text_stays_inside_block(text: str) -> None:
    first, *inside, last = block(text).split("\n")
    assert first == f"{last}text"
    assert all(line.strip() != last and last not in line for line in inside)


def test_only_safe_url_becomes_link() -> None:
    assert link("log", "https://x.example/a?b=c#d") == "[log](https://x.example/a?b=c#d)"
    for url in (
        "javascript:alert(1)",
        "https://x.example/a) [evil](https://y",
        'https://x" onclick="',
        "https://x/`|",
        "",
    ):
        assert link("log", url) == "log"
