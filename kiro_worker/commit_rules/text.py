"""Changes what GitHub and CI systems obey in a commit's message, so that people can still read it.

- references to issues, which close an issue after a word such as "fixes": ``#12`` becomes ``no. 12``
- marks that skip CI: ``[skip ci]`` becomes ``(skip ci)``
- mentions: ``@team`` becomes ``@ team``
- invisible characters are removed

https://docs.github.com/en/issues/tracking-your-work-with-issues/using-issues/linking-a-pull-request-to-an-issue
https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs
https://github.com/srz-zumix/ci-skip lists the marks of other systems.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_LINE: Final = 100
"""commitlint accepts no longer line by default."""

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Characters without a glyph that Unicode does not count as invisible."""
_SURROGATE_OF_BYTE_0: Final = 0xDC00
_SKIP_IN_BRACKETS: Final = re.compile(
    r"\[[^\[\]]{0,60}(?:skip|(?<![a-z])no(?:[\s_-]*ci)?(?![a-z]))[^\[\]]{0,60}\]", re.IGNORECASE
)
_PARENTHESES: Final = str.maketrans("[]", "()")

_Rule = tuple[re.Pattern[str], "str | Callable[[re.Match[str]], str]"]
_RULES: Final[tuple[_Rule, ...]] = (
    # https://github.com/acme/shop/issues/12, of any server. "GET /issues/12" is none.
    (
        re.compile(
            r"(?<=[\w.-])/(?:-/)?(?:issues|pulls?|merge_requests|discussions|work_items|_workitems/edit)/+(?=\d)",
            re.IGNORECASE,
        ),
        " no. ",
    ),
    (re.compile(r"(?<![#!])[#!]+(?=\d)"), lambda match: _number_sign(match)),
    # Jira obeys "#close" and "#time 2d".
    (re.compile(r"(?<!#)#+(?=\w)"), ""),
    (re.compile(r"(?<![a-z0-9])(gh)-(?=\d)", re.IGNORECASE), r"\1 "),
    (re.compile(r"(?<!\w)@(?=\w)"), "@ "),
    (re.compile(r"(?<!\*)\*+(\s*no[\s_-]*ci\s*)\*+", re.IGNORECASE), r"\1"),
    (re.compile(r"(?<!-)-{2,}(?=skip[-_]|no[-_]ci|ci[-_]skip)", re.IGNORECASE), ""),
    (re.compile(r"((?:skip|request)-checks)(?:\s*[:=])+", re.IGNORECASE), r"\1"),
)


def is_visible(text: str) -> bool:
    """Return whether every character of ``text`` can be seen, spaces included."""
    return all(unicodedata.category(character) not in _INVISIBLE and character not in _BLANK for character in text)


def defused(text: str) -> str:
    """Return ``text``, of one or more lines, without anything that a system would obey."""
    text = _visible(text)
    while (changed := _apply_rules(text)) != text:
        text = changed
    return text


def defused_line(text: str) -> str:
    """Return ``text`` as :func:`defused` does, on one line."""
    return " ".join(defused(" ".join(text.split())).split())


def _apply_rules(text: str) -> str:
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    # All brackets, because of nested ones.
    return text.translate(_PARENTHESES) if _SKIP_IN_BRACKETS.search(text) else text


def _number_sign(match: re.Match[str]) -> str:
    """Return what stands for ``#`` before a number: a word, apart from the word before it."""
    before = match.string[match.start() - 1 : match.start()]
    return " no. " if before.isalnum() or before in tuple("._-/)]") else "no. "


def _visible(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    r"""Return what people see of ``character``: ``\xe9`` for a byte that is not UTF-8."""
    if character == "\n" or (character not in _BLANK and unicodedata.category(character) not in _INVISIBLE):
        return character
    byte = ord(character) - _SURROGATE_OF_BYTE_0
    if 0x80 <= byte <= 0xFF:
        return f"\\x{byte:02x}"
    return " " if character.isspace() else ""
