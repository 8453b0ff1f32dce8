"""``tasks.md`` around a turn: what the agent marked, and how many tasks are left."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.runner.repository.commit import file_in
from kiro_worker.spec import DESIGN_FILE, REQUIREMENTS_FILES, STATES, TASKS_FILE, read_task_list, text_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.spec import Task, TaskList, TaskState


def load_task_list(checkout: Checkout, spec_path: str, commit: str) -> TaskList:
    """Return the task list of the spec in ``commit``. Raises :class:`WorkItemInvalid` if it cannot be read."""
    path = f"{spec_path}/{TASKS_FILE}"
    return read_task_list(file_in(checkout, commit, path) or "", path)


def require_visible_spec(checkout: Checkout, spec_path: str) -> None:
    """Raise :class:`WorkItemInvalid` if a file beside the list holds a conflict marker or hidden text.

    Validation reads only the list. This reads the pinned commit, because the agent may change these files itself.
    """
    problems = [
        f"{spec_path}/{name}, {problem}"
        for name in (*REQUIREMENTS_FILES, DESIGN_FILE)
        for problem in text_problems(file_in(checkout, checkout.commit, f"{spec_path}/{name}") or "")
    ]
    if problems:
        raise WorkItemInvalid("\n".join(problems), "follow the instruction on each line, then commit and push the file")


def note_tasks(task_list: TaskList, progress: BuildProgress) -> None:
    """Record which tasks this run has done, and how many are done, were done before it, are open, and are optional."""
    done, progress.open_tasks = task_list.done, tuple(task.name for task in task_list.open)
    progress.tasks_done, progress.tasks_open = len(done), len(progress.open_tasks)
    progress.tasks_optional = sum(task.optional for task in task_list.tasks)
    if progress.done_before is not None:
        progress.tasks_done_before = sum(task.identity in progress.done_before for task in done)
        progress.done_tasks = {task.identity: task.name for task in done if task.identity not in progress.done_before}


def tasks_done_in(checkout: Checkout, spec_path: str, commit: str) -> frozenset[str]:
    """Return the identities of the required tasks that are done in ``commit``."""
    return frozenset(task.identity for task in load_task_list(checkout, spec_path, commit).done)


def tasks_label(tasks: Sequence[Task]) -> str:
    """Return how the log refers to ``tasks``: by the name of the only one, or by their number."""
    return tasks[0].name if len(tasks) == 1 else f"{len(tasks)} open tasks"


def marked_by_agent(before: TaskList, after: str, say: Callable[[str], None]) -> dict[int, TaskState]:
    """Return the states that the agent gave to tasks in its list, ``after``, by ordinal.

    Tasks that were done before stay so. Only boxes count. Any other change is reported, because the worker reverts it.
    From the first task on that it renames or moves, the agent's boxes cannot be attributed to tasks, and none of them
    counts.
    """
    boxes = {task.offset for task in before.tasks}
    if len(after) == len(before.text) and all(
        old == new or index in boxes for index, (old, new) in enumerate(zip(before.text, after, strict=True))
    ):
        marks = {task.ordinal: STATES.get(after[task.offset], task.state) for task in before.tasks}
        return _changed_states(before, marks)
    problem = "the agent changed more than boxes in the list of tasks, so the list is restored"
    try:
        changed = read_task_list(after).tasks
    except WorkItemInvalid:
        say(f"{problem} without the agent's boxes, because it can no longer be read")
        return {}
    say(f"{problem}, except the boxes that the agent ticked")
    same = takewhile(lambda pair: pair[0].identity == pair[1].identity, zip(before.tasks, changed, strict=False))
    return _changed_states(before, {old.ordinal: new.state for old, new in same})


def done_by_turn(tasks: Sequence[Task], marks: Mapping[int, TaskState]) -> set[int]:
    """Return the ordinals of ``tasks`` that a turn which changed files has finished.

    ``tasks`` are the tasks that the turn was asked for, and ``marks`` what the agent marked; a mark of any other task
    does not count. A single task is done unless the agent left it in progress or queued; several are told apart by the
    boxes that the agent ticked.
    """
    if len(tasks) == 1:
        [task] = tasks
        return set() if marks.get(task.ordinal) in ("in_progress", "queued") else {task.ordinal}
    return {task.ordinal for task in tasks if marks.get(task.ordinal) == "done"}


def _changed_states(before: TaskList, states: Mapping[int, TaskState]) -> dict[int, TaskState]:
    return {
        task.ordinal: states[task.ordinal]
        for task in before.tasks
        if task.state != "done" and states.get(task.ordinal, task.state) != task.state
    }
