from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.spec import (
    Task,
    complete_parents,
    open_tasks,
    parse_tasks,
    pending_leaf_tasks,
    reset,
    spec_folder,
    tick,
)

TASKS = """# Implementation plan

- [x] 1. Set up the module
- [ ] 2. Implement discounts
  - [-] 2.1 Reject a rate outside 0 to 1
    - _Requirements: 1.2_
  - [ ]* 2.2 Benchmark it
* [ ] A task without a number

```
- [ ] 9. an example, not a task
```
"""


def test_tasks_have_number_and_state() -> None:
    assert [(task.number, task.title, task.state, task.optional) for task in parse_tasks(TASKS)] == [
        ("1", "Set up the module", "done", False),
        ("2", "Implement discounts", "open", False),
        ("2.1", "Reject a rate outside 0 to 1", "in_progress", False),
        ("2.2", "Benchmark it", "open", True),
        ("", "A task without a number", "open", False),
    ]


def test_only_required_tasks_are_open() -> None:
    assert [task.number for task in open_tasks(TASKS)] == ["2", "2.1", ""]


def test_fence_closes_only_with_its_own_marker() -> None:
    text = "````\n```\n- [ ] 1. inside\n````\n- [ ] 2. outside\n~~~\n```\n- [ ] 3. inside\n~~~\n- [ ] 4. outside\n"
    assert [task.number for task in parse_tasks(text)] == ["2", "4"]


def test_title_excludes_windows_line_end() -> None:
    assert [task.title for task in parse_tasks("- [ ] 1. one\r\n- [x] 2. two\r\n")] == ["one", "two"]


def test_spec_folder_is_branch_with_dashes() -> None:
    assert spec_folder(".kiro/specs/", "feature/a/b") == ".kiro/specs/feature-a-b"


def tasks_if_valid(text: str) -> tuple[Task, ...]:
    try:
        return parse_tasks(text)
    except WorkItemInvalid:
        return ()


lines = st.lists(
    st.one_of(
        st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30),
        st.builds(
            "- [{}]{} {} {}".format, st.sampled_from(" xX-"), st.sampled_from(["", "*"]), st.just("1."), st.text()
        ),
        st.just("```"),
    )
)


@given(lines, st.sampled_from(["\n", "\r\n"]))
def test_ticking_changes_only_box(content: list[str], end: str) -> None:
    text = end.join(content)
    for task in tasks_if_valid(text):
        ticked = tick(text, task)
        assert len(ticked) == len(text)
        differing = [index for index, (before, after) in enumerate(zip(text, ticked, strict=True)) if before != after]
        assert len(differing) <= 1
        assert [other.state for other in parse_tasks(ticked) if other.line == task.line] == ["done"]


def test_pending_tasks_are_leaves() -> None:
    text = "- [ ] 1. Group\n  - [ ] 1.1 Part\n  - [ ]* 1.2 Optional\n- [ ] 2. Alone\n  - [ ]* 2.1 Optional\n"
    text += "- [ ]* 3. Optional group\n  - [ ] 3.1 Part of it\n- [ ] Unnumbered\n  - [ ] below it\n"
    assert [task.name for task in pending_leaf_tasks(text)] == ["1.1 Part", "2 Alone", "below it"]


def test_group_is_ticked_after_its_subtasks() -> None:
    text = "- [ ] 1. Group\r\n  - [ ] 1.1 Inner\r\n    - [x] 1.1.1 Part\r\n- [ ] 2. Group\r\n  - [ ] 2.1 Part\r\n"
    assert complete_parents(text) == text.replace("[ ] 1", "[x] 1")


def test_group_with_open_subtask_stays_open() -> None:
    text = "- [ ] 1. Group\n  - [x] 1.1 Done\n  - [ ] 1.2 Open\n  - [x] 1.3 Done\n"
    assert complete_parents(text) == text


def test_optional_subtasks_do_not_block_group() -> None:
    text = "- [ ] 1. Group\n  - [x] 1.1 Done\n  - [ ]* 1.2 Optional\n- [ ] 2. Group\n  - [ ]* 2.1 Optional\n"
    assert complete_parents(text) == text.replace("[ ] 1.", "[x] 1.")


@pytest.mark.parametrize("title", ["Support [ ] boxes", "Render [x] and [-]", "[ ] alone", "- [ ] nested"])
def test_boxes_in_title_stay(title: str) -> None:
    for before, change, after in (
        ("- [ ] 1. ", lambda text: tick(text, parse_tasks(text)[0]), "- [x] 1. "),
        ("- [x] 1. ", lambda text: tick(text, parse_tasks(text)[0]), "- [x] 1. "),
        ("- [-] 1. ", reset, "- [ ] 1. "),
    ):
        assert change(before + title) == after + title


def test_reset_opens_tasks_in_progress() -> None:
    text = "- [-] 1. One\n```\n- [-] 2. an example\n```\n- [x] 3. Three\n"
    assert reset(text) == text.replace("[-] 1", "[ ] 1")


LIST = st.lists(
    st.one_of(
        st.text(),
        st.builds(
            "{}- [{}]{} {} {}{}".format,
            st.sampled_from(["", "  ", "\t"]),
            st.sampled_from(" x-"),
            st.sampled_from(["", "*"]),
            st.sampled_from(["", "1.", "1.1", "2"]),
            st.text(min_size=1),
            st.sampled_from(["", "\r"]),
        ),
    )
).map("\n".join)


@given(LIST)
def test_marking_changes_only_boxes(text: str) -> None:
    tasks = tasks_if_valid(text)
    for changed in (complete_parents(text), reset(text), *(tick(text, task) for task in tasks)) if tasks else ():
        assert len(changed) == len(text)
        differing = [(old, new) for old, new in zip(text, changed, strict=True) if old != new]
        assert set(differing) <= {(" ", "x"), ("-", "x"), ("X", "x"), ("-", " ")}
        assert len(parse_tasks(changed)) == len(tasks)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_other_separators_do_not_end_line(separator: str) -> None:
    text = f"- [ ] 1. One{separator}- [ ] 2. hidden\n{separator}- [ ] 3. no list\n- [ ] 4. Four\n"
    assert [(task.line, task.number) for task in parse_tasks(text)] == [(0, "1"), (2, "4")]


def test_carriage_return_ends_line() -> None:
    text = "- [ ] 1. One\r- [ ] 2. Two\r\n- [ ] 3. Three"
    assert [(task.line, task.title) for task in parse_tasks(text)] == [(0, "One"), (1, "Two"), (2, "Three")]


def test_inline_backticks_are_no_fence() -> None:
    text = "```a`b\n- [ ] 1. outside\n```\n- [ ] 2. inside\n``` x\n- [ ] 3. inside\n```\n- [ ] 4. outside\n"
    assert [task.number for task in parse_tasks(text)] == ["1", "4"]


ENDS = st.sampled_from(["\n", "\r\n", "\r"])
PIECES = st.one_of(
    st.builds(
        "{}{} [{}]{}{}{}{}".format,
        st.sampled_from(["", "  ", "    ", "\t", " \t"]),
        st.sampled_from("-*+"),
        st.sampled_from(" xX-"),
        st.sampled_from(["", "*"]),
        st.sampled_from([" ", "\t"]),
        st.sampled_from(["", "1. ", "1.1 ", "2 ", "2.10.3 "]),
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1, max_size=9),
    ),
    st.sampled_from(["```", "~~~", "````", "``` x", "```a`b", "  ```", "text", "", "> - [ ] quoted", "# [ ] heading"]),
    st.text(st.sampled_from("- []x*\t\u2028\u2029\x85\x0b\x0c`~1."), max_size=12),
)


@given(st.lists(PIECES, max_size=12), ENDS)
def test_ticking_changes_one_character(lines: list[str], end: str) -> None:
    text = end.join(lines)
    for task in tasks_if_valid(text):
        was = lines[task.line].lstrip(" \t")
        box = len(end.join([*lines[: task.line], ""])) + len(lines[task.line]) - len(was) + was.index("[") + 1
        ticked = tick(text, task)
        assert ticked == f"{text[:box]}x{text[box + 1 :]}"
        others = [(other.line, other.name, other.state) for other in parse_tasks(text) if other.line != task.line]
        assert [(o.line, o.name, o.state) for o in parse_tasks(ticked) if o.line != task.line] == others
        assert tick(ticked, task) == ticked


@given(st.lists(st.sampled_from(["- [ ] 1. x", "```", "~~~", "````", "``` x", "```a`b", "~~~ `", "text", ""])), ENDS)
def test_fences_agree_with_markdown_parser(lines: list[str], end: str) -> None:
    text = end.join(lines)
    tokens = MarkdownIt("commonmark").parse(text)
    fenced = {line for token in tokens if token.type == "fence" and token.map for line in range(*token.map)}
    wanted = [at for at, line in enumerate(lines) if line.startswith("- ") and at not in fenced]
    assert [task.line for task in parse_tasks(text)] == wanted
