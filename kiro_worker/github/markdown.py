"""Hostile text inside Markdown: titles, branch names and messages come from people and repositories, and stay inside
their place.
"""

from __future__ import annotations

import re

_LONGEST_RUN = re.compile(r"`+")


def code(text: str) -> str:
    """Inline code that no text can leave, on one line."""
    plain = " ".join(text.split()) or " "
    fence = "`" * (_longest_run(plain) + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def block(text: str) -> str:
    """A code block that no text can leave."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}text\n{text.rstrip()}\n{fence}"


def link(label: str, url: str) -> str:
    """A link, or just the label when the address is not an http(s) one, or has a sign that Markdown would read."""
    if not re.fullmatch(r"https?://[^\s()<>\"'\\`|]+", url):
        return label
    return f"[{label}]({url})"


def _longest_run(text: str) -> int:
    return max((len(run) for run in _LONGEST_RUN.findall(text)), default=0)
