"""Renders untrusted text in Markdown as code, which titles, branch names and messages cannot break out of."""

from __future__ import annotations

import re

_BACKTICKS = re.compile(r"`+")


def code(text: str) -> str:
    """``text`` as inline code on one line. No text can break out of it."""
    plain = " ".join(text.split()) or " "
    fence = "`" * (_longest_run(plain) + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def block(text: str) -> str:
    """``text`` as a code block. No text can break out of it."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text.rstrip()}\n{fence}"


def link(label: str, url: str) -> str:
    """A link, or only ``label`` if ``url`` is not http(s) or contains a character that Markdown interprets."""
    if not re.fullmatch(r"https?://[^\s()<>\"'\\`|]+", url):
        return label
    return f"[{label}]({url})"


def _longest_run(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)
