"""The task list after a turn: the agent's ticked boxes are kept, and every other change is undone."""

from __future__ import annotations

import pytest

from kiro_worker.runner.agent.task_list import done_by_turn, marked_by_agent, note_tasks
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.spec import Task, read_task_list

BEFORE = "# Tasks\n- [x] 1. Read\n- [ ] 2. Write\n  - [ ] 2.1 Code\n  - [ ] 2.2 Tests\n- [ ]* 3. Polish\n"


def task(number: str) -> Task:
    return next(task for task in read_task_list(BEFORE).tasks if task.number == number)


def updated(after: str, tasks: list[Task], log: list[str], before: str = BEFORE) -> str:
    task_list = read_task_list(before)
    done = done_by_turn(tasks, marked_by_agent(task_list, after, log.append))
    return task_list.ticked(done).with_parents_completed().text


def ticked(text: str) -> list[str]:
    return [task.number for task in read_task_list(text).tasks if task.state == "done"]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (BEFORE, ["1", "2.1"]),
        (BEFORE.replace("[ ] 2.1", "[x] 2.1"), ["1", "2.1"]),
        (BEFORE.replace("[ ] 2.2", "[x] 2.2"), ["1", "2.1"]),
        (BEFORE.replace("[ ] 2. ", "[x] 2. "), ["1", "2.1"]),
        (BEFORE.replace("[ ]* 3", "[x]* 3"), ["1", "2.1"]),
        (BEFORE.replace("[x] 1.", "[ ] 1."), ["1", "2.1"]),
        (BEFORE.replace("[ ] 2.1", "[-] 2.1"), ["1"]),
        (BEFORE.replace("[ ] 2.1", "[~] 2.1"), ["1"]),
        (BEFORE.replace("[ ] 2.2", "[-] 2.2"), ["1", "2.1"]),
        (BEFORE.replace("[ ] 2.2", "[?] 2.2"), ["1", "2.1"]),
        (BEFORE.replace("[ ] 2.1", "[?] 2.1"), ["1", "2.1"]),
    ],
    ids=[
        *("unchanged", "its own box", "another box", "its group", "an optional box", "box removed"),
        *("left in progress", "left queued", "another in progress", "unknown mark on another", "unknown mark"),
    ],
)
def test_only_the_asked_task_is_done(after: str, expected: list[str]) -> None:
    log: list[str] = []

    text = updated(after, [task("2.1")], log)

    assert ticked(text) == expected
    assert log == []


@pytest.mark.parametrize("after", ["", "# Nothing to do\n", BEFORE.replace("Code", "Docs"), BEFORE + "- [x] 4. More\n"])
def test_rewritten_list_is_restored(after: str) -> None:
    log: list[str] = []

    text = updated(after, [task("2.1")], log)

    assert text == BEFORE.replace("[ ] 2.1", "[x] 2.1")
    assert "is restored" in log[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("  - write it in Rust", "  - DONE, dropped"),
        lambda text: text.replace("write it in", "write-it in"),
        lambda text: text.replace("  - write it in Rust\n", ""),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + "\nAll done!\n",
        lambda text: text + "- [x] 3. More\n",
    ],
    ids=["detail replaced", "one character", "detail removed", "line ends", "remark", "task added"],
)
def test_only_boxes_of_edited_list_count(change: object) -> None:
    assert callable(change)
    before = "- [ ] 1. Code\n  - write it in Rust\n- [ ] 2. Tests\n"
    log: list[str] = []

    text = updated(change(before.replace("[ ] 2.", "[x] 2.")), list(read_task_list(before).tasks), log, before)

    assert text == before.replace("[ ] 2.", "[x] 2.")
    assert len(log) == 1
    assert "changed more than boxes" in log[0]


def test_boxes_of_unreadable_list_do_not_count() -> None:
    before = "- [ ] 1. Code\n- [ ] 2. Tests\n"
    log: list[str] = []

    text = updated("- [x] 1. Code\n<<<<<<< HEAD\n- [x] 2. Tests\n", list(read_task_list(before).tasks), log, before)

    assert text == before
    assert "can no longer be read" in log[0]


def test_moved_task_does_not_tick_its_namesake() -> None:
    before = "- [ ] Write tests\n- [ ] Write tests\n"
    log: list[str] = []

    text = updated("- [ ] New\n- [x] Write tests\n- [ ] Write tests\n", list(read_task_list(before).tasks), log, before)

    assert text == before
    assert log


def test_only_agent_ticks_several_tasks() -> None:
    after = BEFORE.replace("[ ] 2.2", "[x] 2.2").replace("[ ]* 3", "[x]* 3")

    text = updated(after, [task("2.1"), task("2.2")], [])

    assert ticked(text) == ["1", "2.2"]


def test_only_new_ticks_are_claims() -> None:
    task_list = read_task_list("- [x] Write unit tests\n- [ ] Write unit tests\n- [ ] Write code\n")

    assert marked_by_agent(task_list, task_list.text, print) == {}
    assert marked_by_agent(task_list, task_list.text.replace("[ ] Write u", "[X] Write u"), print) == {2: "done"}


def test_tasks_are_counted_by_kind() -> None:
    progress = BuildProgress()

    note_tasks(read_task_list(BEFORE + "- [x]* 4. Shine\n"), progress)

    assert (progress.tasks_done, progress.tasks_open, progress.tasks_optional) == (1, 3, 2)
    assert progress.open_tasks == ("2 Write", "2.1 Code", "2.2 Tests")
    assert progress.tasks_done_before is None, "not known"


def test_earlier_tasks_are_counted_apart() -> None:
    progress = BuildProgress(done_before=frozenset(task.identity for task in read_task_list(BEFORE).done))

    note_tasks(read_task_list(BEFORE.replace("[ ] 2.1", "[x] 2.1")), progress)

    assert (progress.tasks_done, progress.tasks_done_before) == (2, 1)
