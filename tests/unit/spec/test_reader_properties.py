"""No box is lost: the reader is compared with a looser definition of a box. And its work grows with the list."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.spec import parse_tasks, read_task_list

# Any line that a person would take for a task: a list marker, and brackets with at most one character.
LOOSE_BOX = re.compile(r"^[ \t>]*(?:[-*+]|\d+[.)])[ \t]+(?:(?:[-*+]|\d+[.)])[ \t]+)*\[[^\[\]]?\][ *\\].*\w")

ITEMS = st.builds(
    "{}{}{}[{}]{} {}{}".format,
    st.sampled_from(["", " ", "  ", "    ", "      ", "\t", "> "]),
    st.sampled_from(["-", "*", "+", "1.", "2)", "- -"]),
    st.sampled_from([" ", "  ", "    ", "\t"]),
    st.sampled_from([" ", " ", " ", "x", "X", "-", "~", "?", ""]),
    st.sampled_from(["", "*", "\\*"]),
    st.sampled_from(["", "1. ", "1.1 ", "3 "]),
    st.sampled_from(["Write tests", "A `b` c", "Fix [x] and [ ]", "~~Half~~ done"]),
)
OTHERS = st.sampled_from(
    ["", "", "text", "  text", "## Phase", "---", "```", "  ```", "~~~", "    code", "<div>", ">", "-"]
)


def code_lines(text: str) -> set[int]:
    """The lines that Markdown shows as code."""
    tokens = MarkdownIt("commonmark", {"maxNesting": 1_000}).parse(text)
    return {
        line for token in tokens if token.type in ("fence", "code_block") and token.map for line in range(*token.map)
    }


@given(st.lists(st.one_of(ITEMS, ITEMS, OTHERS), max_size=14))
def test_every_loose_box_is_task_or_problem(lines: list[str]) -> None:
    text = "\n".join(lines)
    loose = {number for number, line in enumerate(lines) if LOOSE_BOX.match(line)} - code_lines(text)
    try:
        tasks = parse_tasks(text)
    except WorkItemInvalid as refusal:
        refused = {int(number) - 1 for number in re.findall(r"line (\d+)", refusal.reason)}
        unknown = {number for number in loose if re.match(r"[^\[]*\[[?]?\]", lines[number])}
        assert unknown <= refused
        return
    assert {task.line for task in tasks} == loose
    for task in tasks:
        assert text[task.offset - 1] == "["
        assert text[task.offset + 1] == "]"
        assert text.count("\n", 0, task.offset) == task.line


@given(st.lists(st.one_of(ITEMS, OTHERS), max_size=14), st.data())
def test_known_tasks_survive_marking(lines: list[str], data: st.DataObject) -> None:
    try:
        task_list = read_task_list("\n".join(lines))
    except WorkItemInvalid:
        return
    ordinals = (
        data.draw(st.sets(st.sampled_from([task.ordinal for task in task_list.tasks]))) if task_list.tasks else ()
    )
    for changed in (task_list.ticked(ordinals), task_list.reset(), task_list.with_parents_completed()):
        assert read_task_list(changed.text) == changed


def count_calls(work: Callable[[], Any]) -> int:
    """How many functions ``work`` calls, whichever machine it runs on."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(previous)
    return calls


def flat(count: int) -> str:
    return "".join(f"- [ ] {number}. Task\n  - detail\n" for number in range(count))


def grouped(count: int) -> str:
    return "".join(f"- [-] {number}. Group\n  - [x] {number}.1 Part\n" for number in range(count // 2))


def dotted(count: int) -> str:
    return "".join(f"- [~] 1.{number} Task\n" for number in range(count))


@pytest.mark.parametrize("document", [flat, grouped, dotted])
def test_work_grows_linearly(document: Callable[[int], str]) -> None:
    def work(count: int) -> int:
        text = document(count)

        def use() -> None:
            task_list = read_task_list(text).reset()
            assert task_list.with_parents_completed().pending_leaves is not None

        return count_calls(use)

    work(10)  # imports the reader
    small, large = work(100), work(400)

    assert large < 4.5 * small


def test_ticking_reads_nothing_again() -> None:
    small, large = read_task_list(flat(50)), read_task_list(flat(500))

    def one_turn(task_list: Any) -> int:
        return count_calls(lambda: task_list.ticked([7]).with_parents_completed().pending_leaves)

    assert one_turn(large) < 10.5 * one_turn(small)
    assert one_turn(large) < count_calls(lambda: read_task_list(flat(500))) / 10


def test_import_loads_no_markdown_reader() -> None:
    """Most steps of the workflow import the package, but only one of them reads a spec."""
    code = "import sys, kiro_worker.spec; sys.exit('markdown_it' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
