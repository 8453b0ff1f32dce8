"""Subtasks, and what distinguishes tasks with the same number or title."""

from __future__ import annotations

import pytest

from kiro_worker.spec import complete_parents, parse_tasks, pending_leaf_tasks, read_task_list


def parents(text: str) -> list[int]:
    return [task.parent for task in parse_tasks(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- [ ] 1. A\n- [ ] 1.1 B\n- [ ] 1.1.1 C\n- [ ] 1.2 D\n- [ ] 2. E\n", [0, 1, 2, 1, 0]),
        ("- [ ] 1. A\n- [ ] 2. B\n- [ ] 1.1 C\n", [0, 0, 1]),
        ("- [ ] 1. A\n- [ ] 1.1 B\n- [ ] 1. C\n- [ ] 1.1 D\n- [ ] 1.1.1 E\n", [0, 1, 0, 3, 4]),
        ("- [ ] 1. A\n- [ ] 1.1 B\n- [ ] 1. C\n- [ ] 1.1.1 D\n", [0, 1, 0, 3]),
        ("- [ ] 1. A\n\n## Next\n- [ ] 1.1 B\n", [0, 0]),
        ("- [ ] 1. A\n\n---\n\n   - [ ] B\n", [0, 0]),
        ("- [ ] 1. A\n  - [ ] 2.1 B\n    - [ ] C\n  - [ ] D\n- [ ] 2. E\n", [0, 1, 2, 1, 0]),
        ("- [ ] 1. A\n  - [ ] 1.1 B\n  - [ ] 1.1.1 C\n", [0, 1, 2]),
        ("- [ ] A\n- Notes\n  - [ ] B\n", [0, 0]),
        ("- [ ] A\n  - Notes\n    - [ ] B\n", [0, 1]),
        ("- Phase 1\n  - [ ] 1. A\n- Phase 2\n  - [ ] 1.1 B\n", [0, 0]),
        ("- [ ] ~~A~~\n  - [ ] B\n", [0]),
        ("- [ ] A\n - [ ] B\n", [0, 0]),
        ("1. [ ] A\n  - [ ] B\n", [0, 1]),
        ("* [ ] A\n-   [ ] B\n", [0, 0]),
        ("- [ ] 3. Client\n- [ ] 3 retries for uploads\n- [ ] 3.1 Part\n", [0, 0, 1]),
        ("- [ ] 1. A\n- [ ] 10.1 B\n", [0, 0]),
    ],
)
def test_subtask_belongs_to_nearest_task(text: str, expected: list[int]) -> None:
    assert parents(text) == expected


def test_optional_group_makes_subtasks_optional() -> None:
    tasks = parse_tasks("- [ ]* 1. A\n  - [ ] 1.1 B\n    - [ ] C\n- [ ] 2* D\n- [ ] 2.1 E\n- [ ] 3. F\n")

    assert [task.optional for task in tasks] == [True, True, True, True, True, False]


def test_parent_is_completed_only_by_own_subtasks() -> None:
    text = "## One\n- [ ] 1. A\n- [x] 1.1 B\n## Two\n- [ ] 1. A\n- [ ] 1.1 B\n"

    assert complete_parents(text) == text.replace("[ ] 1. A", "[x] 1. A", 1)


def test_open_task_below_done_group_keeps_outer_group_open() -> None:
    text = "- [ ] 1. A\n  - [x] 1.1 B\n    - [ ] 1.1.1 C\n"

    assert complete_parents(text) == text
    assert [task.number for task in pending_leaf_tasks(text)] == ["1.1.1"]


def test_subtasks_of_other_phase_do_not_group() -> None:
    text = "## One\n- [ ] 1. A\n## Two\n- [ ] 1. A\n- [x] 1.1 B\n"

    assert [task.ordinal for task in pending_leaf_tasks(text)] == [1]
    assert complete_parents(text) == text[: text.index("## Two")] + text[text.index("## Two") :].replace("[ ]", "[x]")


def test_number_at_start_of_title_is_no_number() -> None:
    [three, dotted] = parse_tasks("- [ ] 3 retries for uploads\n- [ ] 3. retries\n")

    assert (three.number, three.title) == ("", "3 retries for uploads")
    assert (dotted.number, dotted.title) == ("3", "retries")


def test_identity_has_position_and_hash() -> None:
    first, second, _ = parse_tasks("- [ ] Test\n- [x] Test\n- [ ] Test\n")
    [moved] = parse_tasks("# Plan\n\n1. [x] Test\n")
    [renamed] = parse_tasks("- [ ] Tests\n")

    assert first.identity != second.identity
    assert first.identity == moved.identity, "neither the box nor the line counts"
    assert first.identity != renamed.identity
    assert first.identity.partition("-")[0] == "1"


def test_tick_marks_only_one_of_two_namesakes() -> None:
    text = "- [ ] Test\n- [ ] Test\n"

    assert read_task_list(text).ticked([2]).text == "- [ ] Test\n- [x] Test\n"
