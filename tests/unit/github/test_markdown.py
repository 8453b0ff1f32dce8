from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.github.markdown import block, code, link


@given(st.text())
def test_no_text_leaves_inline_code(text: str) -> None:
    shown = code(text)
    fence = re.match("`+", shown)
    assert fence
    assert "\n" not in shown
    inside = shown[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall("`+", inside)


@given(st.text())
def test_no_text_leaves_a_block(text: str) -> None:
    first, *inside, last = block(text).split("\n")
    assert first == f"{last}text"
    assert all(line.strip() != last and last not in line for line in inside)


def test_a_link_is_only_made_of_an_address() -> None:
    assert link("log", "https://x.example/a?b=c#d") == "[log](https://x.example/a?b=c#d)"
    for address in (
        "javascript:alert(1)",
        "https://x.example/a) [evil](https://y",
        'https://x" onclick="',
        "https://x/`|",
        "",
    ):
        assert link("log", address) == "log"
