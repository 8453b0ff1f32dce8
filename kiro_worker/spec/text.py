"""What no spec file may contain: conflict markers, and text that the agent reads but a reviewer does not see."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it import MarkdownIt
    from markdown_it.token import Token

DEEPEST_NESTING: Final = 40
"""How many levels the Markdown reader follows. A list takes two; below the last level the reader ignores the text."""

# CommonMark (https://spec.commonmark.org/0.31.2/) has fewer line endings than str.splitlines.
_LINE_ENDS: Final = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")
_CONFLICT: Final = re.compile(r"(?:<{7}|>{7})(?: |$)")
_INVISIBLE: Final = re.compile("[\u200b-\u200d\u2060\ufeff\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")

_BACKTICKS: Final = re.compile("`+")
_INLINE: Final = re.compile(r"\\.|`+|<!--", re.DOTALL)


def split_lines(text: str) -> list[str]:
    """The lines of ``text`` as Markdown defines them, with their line endings."""
    return _LINE_ENDS.split(text)


def text_problems(text: str) -> list[str]:
    """Every conflict marker and hidden text in a spec file, each with its line and its fix."""
    return [
        *line_problems(split_lines(text)),
        *(comment_problems(markdown_reader().parse(text)) if "<!--" in text else ()),
    ]


def line_problems(lines: list[str]) -> Iterator[str]:
    """The conflict markers and the invisible characters in ``lines``."""
    for number, line in enumerate(lines, 1):
        if _CONFLICT.match(line.rstrip("\r\n")):
            yield f"line {number} is a conflict marker ({line[:7]}): resolve the merge conflict"
        if match := _INVISIBLE.search(line):
            yield f"line {number} contains an invisible character ({describe(match[0])}): remove it"


def invisible_character(text: str) -> str:
    """The first invisible character in ``text``, described for people; empty if there is none."""
    match = _INVISIBLE.search(text)
    return describe(match[0]) if match else ""


def describe(character: str) -> str:
    """The code point and the name of a character: ``U+200B ZERO WIDTH SPACE``."""
    name = unicodedata.name(character, "TAG CHARACTER" if character >= "\U000e0000" else "")
    return f"U+{ord(character):04X} {name}".strip()


def markdown_reader() -> MarkdownIt:
    """A CommonMark reader of the blocks of a document: lists, code, paragraphs … without what is inside a paragraph."""
    # Imported here because most steps of the workflow import this package, but only one of them reads a spec.
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"maxNesting": DEEPEST_NESTING})
    reader.core.ruler.enableOnly(["normalize", "block"])
    # A link definition, such as `- [-]: Title`, would vanish from the document, and a box with it.
    return reader.disable("reference")


def comment_problems(tokens: list[Token]) -> Iterator[str]:
    """The HTML comments in a document that was read as ``tokens``. Code shows its comments, so they may stay."""
    for token in tokens:
        if token.map is None or token.type not in ("html_block", "inline") or "<!--" not in token.content:
            continue
        for offset in _comments(token.content, is_html=token.type == "html_block"):
            number = token.map[0] + token.content.count("\n", 0, offset) + 1
            yield f"line {number} begins an HTML comment, which reviewers do not see: remove it, or make it visible"


def _comments(content: str, *, is_html: bool) -> Iterator[int]:
    """Where the HTML comments of a block begin in its content, in linear time.

    In a paragraph, code spans and escaped characters are shown, and a comment that does not end is text.
    """
    closing_runs: dict[str, list[int]] = {}
    for run in _BACKTICKS.finditer(content):
        closing_runs.setdefault(run[0], []).append(run.start())
    last_end = len(content) if is_html else content.rfind("-->")
    position = 0
    while match := _INLINE.search(content, position):
        position = match.end()
        if match[0] == "<!--" and match.start() < last_end:
            yield match.start()
            end = content.find("-->", position)
            position = end + 3 if end >= 0 else len(content)
        elif match[0][0] == "`" and not is_html:
            runs = closing_runs[match[0]]
            after = bisect_left(runs, position)
            position = runs[after] + len(match[0]) if after < len(runs) else position
