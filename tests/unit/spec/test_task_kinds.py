"""Which items are asked, which are optional, and which boxes are no tasks."""

from __future__ import annotations

import pytest

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.spec import parse_tasks, pending_leaf_tasks, read_task_list, reset


def pending(text: str) -> list[str]:
    return [task.name for task in pending_leaf_tasks(text)]


def refusal(text: str) -> str:
    with pytest.raises(WorkItemInvalid) as caught:
        read_task_list(text)
    return caught.value.reason


QUEUED = """\
- [x] 1. Model
- [~] 2. Screen
- [ ] 3. Export
  - [~] 3.1 Writer
  - [~] 3.2 Button
- [~] 4. Checkpoint
"""
NUMBER_TWICE = """\
## Phase 1
- [x] 1. Parser
- [x] 1.1 Lexer
- [x] 1.2 Tree

## Phase 2
- [ ] 1. Exporter
  - write the exporter
- [ ] 2. Menu
"""
TITLE_TWICE = """\
## Cart
- [ ] Write the code
- [ ] Write unit tests

## Orders
- [ ] Write the other code
- [ ] Write unit tests
"""
OPTIONAL = """\
- [ ] 1. Model
  - [ ] 1.1 Do it
  - [ ] 1.2* Property test
  - [ ]\\* 1.3 Unit test
- [ ]\\* 2. Nice to have
  - [ ] 2.1 Part of it
"""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (QUEUED, ["2 Screen", "3.1 Writer", "3.2 Button", "4 Checkpoint"]),
        ("-   [ ] 1. Model\n\n    -   make it\n\n-   [ ] 2. Screen\n", ["1 Model", "2 Screen"]),
        (NUMBER_TWICE, ["1 Exporter", "2 Menu"]),
        (TITLE_TWICE, ["Write the code", "Write unit tests", "Write the other code", "Write unit tests"]),
        (
            "## Cart\n- [x] Write unit tests\n\n## Orders\n- [ ] Write unit tests\n- [ ] Write code\n",
            ["Write unit tests", "Write code"],
        ),
        (OPTIONAL, ["1.1 Do it"]),
        ("- [ ] 1. A\n- [ ] 2. B\n- [ ] 3. C\n- [ ] 4. D\n- [ ] 5. E\n", ["1 A", "2 B", "3 C", "4 D", "5 E"]),
    ],
    ids=["queued", "wide bullets", "number twice", "title twice", "one of two done", "optional", "five"],
)
def test_list_of_other_tool_is_asked(text: str, names: list[str]) -> None:
    assert pending(text) == names


@pytest.mark.parametrize(
    "line",
    [
        "- [ ] A",
        "* [ ] A",
        "+ [ ] A",
        "1. [ ] A",
        "7) [ ] A",
        "-    [ ] A",
        "   - [ ] A",
        "-\t[ ] A",
        "> - [ ] A",
        "- - [ ] A",
        "- 1. [ ] A",
        "-\n  [ ] A",
        "- [ ]\n  A",
        "- \u00a0\n  \u3000\n  [ ] A",
        "- [ ]A",
        "- [-] A",
        "- [~] A",
        "- # [ ] A",
        "- [ ] A\n  ===",
    ],
)
def test_every_item_that_begins_with_box_is_task(line: str) -> None:
    [task] = parse_tasks(line)

    assert task.title == "A"
    assert reset(line) == line.replace("[-]", "[ ]").replace("[~]", "[ ]")
    ticked = read_task_list(line).ticked([1])
    assert ticked.text == reset(line).replace("[ ]", "[x]", 1)
    assert parse_tasks(ticked.text) == ticked.tasks


@pytest.mark.parametrize("line", ["- [ ]* 1.2 A", "- [ ] 1.2* A", "- [ ]\\* 1.2 A", "- [ ] 1.2\\* A", "- [ ] 2* A"])
def test_star_marks_task_optional(line: str) -> None:
    [task] = parse_tasks(line)

    assert (task.title, task.optional) == ("A", True)


def test_emphasized_title_is_required() -> None:
    assert pending("- [ ] *must* work\n- [ ] **1.** bold\n") == ["*must* work", "**1.** bold"]


@pytest.mark.parametrize(
    "text",
    [
        "```\n- [ ] A\n```",
        "~~~ md\n- [ ] A\n~~~",
        "- item\n  ```\n  - [ ] A\n  ```",
        "text\n\n    - [ ] A",
        "-      [ ] A",
        "- [ ] ~~A~~",
        "- [ ] ~~1. A~~",
        "- [ ] 1. ~~A~~",
        "- [ ]* ~A~",
        "- [ ] ~~A\n  and B~~",
        "- ~~[ ] A~~",
        "- [x](https://example.com) a link",
        "- [1][ref] a link",
        "- [WIP] a word",
        "- \\[ ] escaped",
        "- `[ ]` code",
        "[ ] no list item",
    ],
)
def test_box_elsewhere_is_no_task(text: str) -> None:
    assert parse_tasks(f"{text}\n\n- [ ] Real\n")[0].title == "Real"
    assert len(parse_tasks(f"{text}\n\n- [ ] Real\n")) == 1


def test_fence_ends_with_its_list_item() -> None:
    text = "- [ ] 1. One\n  ```\n  unclosed\n- [ ] 2. Two\n  - ~~~\n- [ ] 3. Three\n"

    assert pending(text) == ["1 One", "2 Two", "3 Three"]


def test_partly_struck_title_is_task() -> None:
    assert pending("- [ ] ~~Use X~~ Use Y\n- [ ] ~~a~~ b ~~c~~\n") == ["~~Use X~~ Use Y", "~~a~~ b ~~c~~"]


@pytest.mark.parametrize(
    ("mark", "shown"),
    [
        ("?", "[?]"),
        ("!", "[!]"),
        (">", "[>]"),
        ("✓", "[✓]"),
        ("✔\ufe0f", "[✔\ufe0f]"),
        ("", "[]"),
        ("  ", "[  ]"),
        ("x ", "[x ]"),
        ("\t", "[U+0009]"),
        ("\u00a0", "[U+00A0 NO-BREAK SPACE]"),
        ("1", "[1]"),
    ],
)
def test_unknown_mark_is_refused(mark: str, shown: str) -> None:
    reason = refusal(f"- [ ] 1. One\n- [{mark}] 2. Two\n")

    assert reason == f"tasks.md, line 2 has the unknown mark {shown}: use [ ], [-], [~] or [x]"


def test_every_problem_is_listed() -> None:
    reason = refusal("- [?] 1. One\n- [ ] 2. Two\n- [ ]\n\n<<<<<<< HEAD\n- [ ](A)\n- [-]: A\n")

    assert [line.partition(":")[0] for line in reason.splitlines()] == [
        "tasks.md, line 5 is a conflict marker (<<<<<<<)",
        "tasks.md, line 1 has the unknown mark [?]",
        "tasks.md, line 3 has a box without a title",
        "tasks.md, line 6 reads as a link",
        "tasks.md, line 7 reads as a link",
    ]


@pytest.mark.parametrize(
    "text",
    ["- [ ] 1. One\n      - [ ] 1.1 Too deep", "Tasks:\n2. [ ] Two", "<div>\n- [?] 1. One\n</div>"],
)
def test_box_hidden_by_layout_is_refused(text: str) -> None:
    assert "line 2 looks like a task, but belongs to " in refusal(text)


def test_box_below_reader_depth_is_refused() -> None:
    shallow = "".join(f"{'  ' * depth}- [ ] {depth}\n" for depth in range(19))
    deep = "".join(f"{'  ' * depth}- [ ] {depth}\n" for depth in range(30))

    assert len(parse_tasks(shallow)) == 19
    assert "is nested too deeply: use at most 19 levels" in refusal(deep)
    assert "is nested too deeply" in refusal(f"{'> ' * 60}- [ ] A")
    assert "is nested too deeply" in refusal(f"{'- ' * 900}[ ] A")
