"""The list items of ``tasks.md``, as CommonMark defines them, and what in the file keeps it from being read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from kiro_worker.spec.box import STATES, Label, box_in_line, describe_mark, find_mark, is_link, read_label
from kiro_worker.spec.text import DEEPEST_NESTING, comment_problems, line_problems, markdown_reader, split_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

MOST_TASKS: Final = 1_000
LONGEST_LINE: Final = 2_000
MOST_LINES: Final = 10_000
"""The reader's time grows with the number of lines, and faster with the length of one line."""

_INDENT: Final = re.compile(r"[ \t>]*")


@dataclass(frozen=True)
class Box:
    """The box of a task. ``offset`` is where its mark stands in the text, and ``line`` counts from 0."""

    line: int
    offset: int
    mark: str
    label: Label


@dataclass(frozen=True)
class Item:
    """A list item, with its box if it is a task.

    ``indent`` is in columns. ``list_id`` is the same for the items of one list, and ``section`` for everything between
    two headings.
    """

    indent: int
    list_id: int
    section: int
    box: Box | None


@dataclass
class Document:
    """The items of ``tasks.md`` in order, and every problem in it, each with its line and its fix."""

    items: list[Item] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_document(text: str) -> Document:
    """Read ``tasks.md``. A file that exceeds a limit is not read any further, so that reading takes linear time."""
    lines = split_lines(text)
    document = Document(problems=[*_limit_problems(lines)])
    if document.problems:
        return document
    document.problems += line_problems(lines)
    tokens = markdown_reader().parse(text)
    document.problems += _structure_problems(tokens, lines)
    document.items = [*_items(tokens, lines, document.problems)]
    boxes = [item.box for item in document.items if item.box]
    if len(boxes) > MOST_TASKS:
        document.problems.append(f"it has {len(boxes)} tasks, but the limit is {MOST_TASKS}: split the spec")
    return document


def _limit_problems(lines: list[str]) -> Iterator[str]:
    if len(lines) > MOST_LINES:
        yield f"it has {len(lines)} lines, but the limit is {MOST_LINES}: split the spec"
    for number, line in enumerate(lines, 1):
        if (length := len(line.rstrip("\r\n"))) > LONGEST_LINE:
            yield f"line {number} has {length} characters, but the limit is {LONGEST_LINE}: break the line"


def _items(tokens: list[Token], lines: list[str], problems: list[str]) -> Iterator[Item]:
    """Each list item. Adds the boxes that cannot be read to ``problems``."""
    starts = [0, *accumulate(map(len, lines))]
    open_lists: list[int] = []
    section = 0
    for index, token in enumerate(tokens):
        if token.type in ("bullet_list_open", "ordered_list_open"):
            open_lists.append(index)
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            open_lists.pop()
        elif token.type in ("heading_open", "hr") and token.level == 0:
            section += 1
        elif token.type == "list_item_open" and token.map:
            indent = _INDENT.match(lines[token.map[0]])
            width = len(indent[0].expandtabs(4)) if indent else 0
            box = _read_box(tokens[index + 1 : index + 3], lines, starts, problems)
            yield Item(width, open_lists[-1], section, box)


def _read_box(first: list[Token], lines: list[str], starts: list[int], problems: list[str]) -> Box | None:
    """The box of the item whose first two tokens are ``first``; ``None`` if it is not a task."""
    if len(first) < 2 or first[1].type != "inline" or first[1].map is None:
        return None
    content, line = first[1].content, first[1].map[0]
    mark = find_mark(content)
    if mark is None:
        return None
    # What stands before the box (indentation, list markers, >) never contains a bracket. A line that only Unicode
    # calls blank belongs to the paragraph, but not to its content.
    while "[" not in lines[line]:
        line += 1
    label = read_label(content)
    if label.struck:
        return None
    if mark not in STATES:
        problems.append(f"line {line + 1} has the unknown mark {describe_mark(mark)}: use [ ], [-], [~] or [x]")
        return None
    if is_link(content):
        problems.append(f"line {line + 1} reads as a link: put a space after the box")
        return None
    if not label.title:
        problems.append(f"line {line + 1} has a box without a title: write one, or remove the box")
        return None
    return Box(line, starts[line] + lines[line].index("[") + 1, mark, label)


def _structure_problems(tokens: list[Token], lines: list[str]) -> Iterator[str]:
    """What a reader of the file would see as a task, or not see at all, unlike CommonMark."""
    yield from comment_problems(tokens)
    containers = (token for token in tokens if token.type in ("list_item_open", "blockquote_open"))
    if deep := next((token.map for token in containers if token.map and token.level >= DEEPEST_NESTING - 2), None):
        yield f"line {deep[0] + 1} is nested too deeply: use at most {DEEPEST_NESTING // 2 - 1} levels"
    for token in tokens:
        if token.map and token.type == "inline":
            yield from _stray_boxes(lines, token.map[0] + 1, token.map[1], "the paragraph above")
        elif token.map and token.type == "html_block" and "<!--" not in token.content:
            yield from _stray_boxes(lines, token.map[0], token.map[1], "the HTML above")


def _stray_boxes(lines: list[str], first: int, last: int, context: str) -> Iterator[str]:
    for number, line in enumerate(lines[first:last], first + 1):
        if box_in_line(line):
            fix = "indent it less, or add an empty line above"
            yield f"line {number} looks like a task, but belongs to {context}: {fix}"
