"""``tasks.md`` around a turn: which boxes are ticked, and how many tasks are left."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.runner.repository.commit import file_in
from kiro_worker.spec import DESIGN_FILE, REQUIREMENTS_FILES, TASKS_FILE, read_task_list, text_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.spec import Task, TaskList


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
    """Record how many tasks are done and how many are open."""
    progress.tasks_done = sum(task.state == "done" for task in task_list.tasks)
    progress.tasks_open = len(task_list.open)


def tasks_label(tasks: Sequence[Task]) -> str:
    """Return how the log refers to ``tasks``: by the name of the only one, or by their number."""
    return tasks[0].name if len(tasks) == 1 else f"{len(tasks)} open tasks"


def ticked_by_agent(before: TaskList, after: str, say: Callable[[str], None]) -> set[int]:
    """Return the ordinals of the tasks whose boxes the agent ticked in its list, ``after``.

    Only boxes count. Any other change is reported, because the worker reverts it. From the first task on that it
    renames or moves, the agent's boxes cannot be attributed to tasks, and none of them counts.
    """
    boxes = {task.offset for task in before.tasks}
    if len(after) == len(before.text) and all(
        old == new or index in boxes for index, (old, new) in enumerate(zip(before.text, after, strict=True))
    ):
        return {task.ordinal for task in before.tasks if task.state != "done" and after[task.offset] in "xX"}
    problem = "the agent changed more than boxes in the list of tasks, so the list is restored"
    try:
        changed = read_task_list(after).tasks
    except WorkItemInvalid:
        say(f"{problem} without the agent's boxes, because it can no longer be read")
        return set()
    say(f"{problem}, except the boxes that the agent ticked")
    same = takewhile(lambda pair: pair[0].identity == pair[1].identity, zip(before.tasks, changed, strict=False))
    return {old.ordinal for old, new in same if old.state != "done" and new.state == "done"}


def updated_task_list(before: TaskList, ticked: set[int], tasks: Sequence[Task]) -> TaskList:
    """Return the task list after a turn that ended well.

    ``before`` is the list at the start of the turn, ``ticked`` are the boxes that the agent ticked, and ``tasks`` are
    the tasks of the turn. When the turn had a single task, its box is ticked. Boxes that were ticked before stay so.
    """
    own = {tasks[0].ordinal} if len(tasks) == 1 else set()
    return before.ticked(ticked | own).with_parents_completed()
