"""``tasks.md`` around a turn: which boxes are ticked, and how many tasks are left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.spec import complete_parents, open_tasks, parse_tasks, reset, tick

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.spec import Task


def note_tasks(text: str, progress: BuildProgress) -> None:
    """Record how many tasks are done and how many are open."""
    progress.tasks_done = sum(task.state == "done" for task in parse_tasks(text))
    progress.tasks_open = len(open_tasks(text))


def tasks_label(tasks: Sequence[Task]) -> str:
    """Return how the log refers to ``tasks``: by the name of the only one, or by their number."""
    return tasks[0].name if len(tasks) == 1 else f"{len(tasks)} open tasks"


def has_ticked(text: str, tasks: Sequence[Task]) -> bool:
    """Return whether one of ``tasks`` is ticked in ``text``. Some tasks need no change to the code."""
    done = {task.name for task in parse_tasks(text) if task.state == "done"}
    return any(task.name in done for task in tasks)


def updated_task_list(before: str, after: str, tasks: Sequence[Task], say: Callable[[str], None]) -> str:
    """Return the task list after a turn that ended well.

    ``before`` is the list at the start of the turn, ``after`` is the agent's, and ``tasks`` are the tasks of the turn.

    The agent's list is used only when nothing but boxes differs; otherwise the earlier one is restored. Boxes that were
    ticked before stay ticked. When the turn had a single task, its box is ticked.
    """
    text = reset(after)
    if [task.name for task in parse_tasks(text)] != [task.name for task in parse_tasks(before)]:
        say("the agent changed more than boxes in the list of tasks, so the list is restored")
        text = before
    ticked = {task.line for task in parse_tasks(before) if task.state == "done"}
    if len(tasks) == 1:
        ticked.add(tasks[0].line)
    lines_before = [task.line for task in parse_tasks(before)]
    for index, task in enumerate(parse_tasks(text)):
        if lines_before[index] in ticked and task.state != "done":
            text = tick(text, task)
    return complete_parents(text)
