"""The box, the number and the title at the beginning of a list item."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from kiro_worker.spec.text import describe

TaskState = Literal["open", "in_progress", "queued", "done"]

STATES: Final[dict[str, TaskState]] = {" ": "open", "x": "done", "X": "done", "-": "in_progress", "~": "queued"}
"""The state that each mark stands for. Kiro writes ``~`` for a task that is queued."""

_BOX = re.compile(r"\[(?P<mark>[^\[\]\r\n]*)\]")
# A combining mark or a variation selector belongs to the character before it: "✔️" is one mark.
_COMBINING = re.compile(r"[\u0300-\u036f\ufe0e\ufe0f]")
_LINK = re.compile(r"[(\[:]")
# Kiro escapes the star in some of its files.
_STAR = re.compile(r"\\?\*(?=\s|$)")
# A whole number needs a dot or a star, because a title can begin with one: "3 retries for uploads".
_NUMBER = re.compile(r"(?P<number>\d+(?:\.\d+)*)(?P<dot>\\?\.)?(?P<star>\\?\*)?(?=[ \t]+\S)")
_STRUCK = re.compile(r"(?P<tildes>~~?)(?=[^\s~])(?:(?!(?P=tildes)).)+(?<=\S)(?P=tildes)", re.DOTALL)
_LIST_MARKERS = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t>]+)+(?=\[)")


@dataclass(frozen=True)
class Label:
    """What an item says after its box."""

    number: str
    title: str
    optional: bool
    struck: bool


def find_mark(text: str) -> str | None:
    """The mark in the box that ``text`` begins with; ``None`` if it begins with something else.

    A box holds at most one character. ``[a](…)``, ``[a][…]`` and ``[a]: …`` are links, unless the mark is one that
    Kiro writes for a task that is not done.
    """
    match = _BOX.match(text)
    if match is None:
        return None
    mark = match["mark"]
    if len(_COMBINING.sub("", mark).strip()) > 1:
        return None
    return None if is_link(text) and STATES.get(mark, "done") == "done" else mark


def is_link(text: str) -> bool:
    """Whether the brackets that ``text`` begins with would be a link, or become one when the box is ticked."""
    match = _BOX.match(text)
    return match is not None and _LINK.match(text, match.end()) is not None


def box_in_line(line: str) -> bool:
    """Whether ``line``, read on its own, is a list item that begins with a box."""
    match = _LIST_MARKERS.match(line)
    return match is not None and find_mark(line[match.end() :]) is not None


def read_label(text: str) -> Label:
    """What the item with the content ``text`` says after its box."""
    rest = text[text.index("]") + 1 :]
    star = _STAR.match(rest)
    rest = rest[star.end() if star else 0 :].strip()
    label = Label("", rest.partition("\n")[0].strip(), star is not None, _STRUCK.fullmatch(rest) is not None)
    match = _NUMBER.match(rest)
    if match is None or not ("." in match["number"] or match["dot"] or match["star"]):
        return label
    rest = rest[match.end() :].strip()
    return Label(
        match["number"],
        rest.partition("\n")[0].strip(),
        label.optional or match["star"] is not None,
        _STRUCK.fullmatch(rest) is not None,
    )


def describe_mark(mark: str) -> str:
    """How messages show a mark: in its box, and by its code point if it cannot be seen."""
    if len(mark) == 1 and (not mark.isprintable() or mark.isspace()):
        return f"[{describe(mark)}]"
    return f"[{mark}]" if mark.isprintable() else f"[{ascii(mark)[1:-1]}]"
