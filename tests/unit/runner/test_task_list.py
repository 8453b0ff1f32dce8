"""The task list after a turn: the agent's ticked boxes are kept, and every other change is undone."""

from __future__ import annotations

import pytest

from kiro_worker.runner.agent.task_list import has_ticked, note_tasks, updated_task_list
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.spec import Task, parse_tasks

BEFORE = "# Tasks\n- [x] 1. Read\n- [ ] 2. Write\n  - [ ] 2.1 Code\n  - [ ] 2.2 Tests\n- [ ]* 3. Polish\n"


def task(number: str) -> Task:
    return next(task for task in parse_tasks(BEFORE) if task.number == number)


def ticked(text: str) -> list[str]:
    return [task.number for task in parse_tasks(text) if task.state == "done"]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (BEFORE, ["1", "2.1"]),
        (BEFORE.replace("[ ] 2.1", "[x] 2.1"), ["1", "2.1"]),
        (BEFORE.replace("[ ] 2.2", "[x] 2.2"), ["1", "2", "2.1", "2.2"]),
        (BEFORE.replace("[x] 1.", "[ ] 1."), ["1", "2.1"]),
        (BEFORE.replace("[ ] 2.1", "[-] 2.1"), ["1", "2.1"]),
    ],
    ids=["unchanged", "its own box", "another box", "box removed", "left in progress"],
)
def test_boxes_ticked_by_agent_count(after: str, expected: list[str]) -> None:
    log: list[str] = []

    text = updated_task_list(BEFORE, after, [task("2.1")], log.append)

    assert ticked(text) == expected
    assert log == []


@pytest.mark.parametrize("after", ["", "# Nothing to do\n", BEFORE.replace("Code", "Docs"), BEFORE + "- [x] 4. More\n"])
def test_rewritten_list_is_restored(after: str) -> None:
    log: list[str] = []

    text = updated_task_list(BEFORE, after, [task("2.1")], log.append)

    assert text == BEFORE.replace("[ ] 2.1", "[x] 2.1")
    assert "is restored" in log[0]


def test_only_agent_ticks_several_tasks() -> None:
    after = BEFORE.replace("[ ] 2.2", "[x] 2.2")

    text = updated_task_list(BEFORE, after, [task("2.1"), task("2.2")], lambda _text: None)

    assert ticked(text) == ["1", "2.2"]


def test_only_tasks_of_turn_count_as_ticked() -> None:
    assert not has_ticked(BEFORE, [task("2.1")])
    assert not has_ticked(BEFORE.replace("[ ] 2.2", "[x] 2.2"), [task("2.1")])
    assert has_ticked(BEFORE.replace("[ ] 2.2", "[x] 2.2"), [task("2.1"), task("2.2")])


def test_done_and_open_tasks_are_counted() -> None:
    progress = BuildProgress()

    note_tasks(BEFORE, progress)

    assert (progress.tasks_done, progress.tasks_open) == (1, 3)
