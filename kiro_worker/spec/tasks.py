"""The task list of a spec: what is open, and ticking boxes.

Kiro writes ``- [ ] 1. Title``, ``- [x]`` for done, ``- [-]`` for in progress, ``- [~]`` for queued, and ``- [ ]* …`` or
``- [ ] 1.2* …`` for optional. A task with subtasks only groups them, and is done when they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.spec.box import STATES, TaskState
from kiro_worker.spec.files import TASKS_FILE
from kiro_worker.spec.groups import find_parents
from kiro_worker.spec.markdown import read_document

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kiro_worker.spec.markdown import Document

_MOST_PROBLEMS: Final = 20


@dataclass(frozen=True)
class Task:
    """One task of the list.

    ``ordinal`` is its position among the tasks, from 1, and ``line`` counts from 0. ``number`` has no trailing dot, and
    is empty for a task without a number. A task below an optional one is ``optional``. ``parent`` is the ordinal of the
    task that it is a subtask of, or 0. ``offset`` is where its mark stands in the text.
    """

    ordinal: int
    line: int
    offset: int
    number: str
    title: str
    state: TaskState
    optional: bool
    parent: int

    @property
    def name(self) -> str:
        """The number and title by which people and prompts refer to the task: ``1.1 Title``."""
        return f"{self.number} {self.title}".strip()

    @property
    def identity(self) -> str:
        """What distinguishes the task from every other, even from one with the same name: ``3-1f0e9d8c``.

        It is the position and a hash of the name, so that an identity from a list that was edited since does not match.
        """
        digest = hashlib.sha256(self.name.encode(errors="backslashreplace")).hexdigest()
        return f"{self.ordinal}-{digest[:8]}"


@dataclass(frozen=True)
class TaskList:
    """The text of a ``tasks.md`` and its tasks, in order."""

    text: str
    tasks: tuple[Task, ...]

    @property
    def open(self) -> tuple[Task, ...]:
        """The tasks that are neither done nor optional.

        A task in progress is open: the agent that marked it is no longer working on it.
        """
        return tuple(task for task in self.tasks if task.state != "done" and not task.optional)

    @property
    def done(self) -> tuple[Task, ...]:
        """The tasks that are done and not optional."""
        return tuple(task for task in self.tasks if task.state == "done" and not task.optional)

    @property
    def completion(self) -> str:
        """How many of the required tasks are done: ``3 of 5 tasks done``."""
        done = len(self.done)
        return completion(done, done + len(self.open))

    @property
    def leaves(self) -> tuple[Task, ...]:
        """The required tasks that are no groups."""
        groups = {task.parent for task in self.tasks if not task.optional}
        return tuple(task for task in self.tasks if not task.optional and task.ordinal not in groups)

    @property
    def pending_leaves(self) -> tuple[Task, ...]:
        """The open tasks to give to the agent. Groups are left out, because the agent gets their subtasks instead."""
        groups = {task.parent for task in self.tasks if not task.optional}
        return tuple(task for task in self.open if task.ordinal not in groups)

    def ticked(self, ordinals: Collection[int]) -> TaskList:
        """The list with the boxes of these tasks ticked and nothing else changed."""
        return self._marked(dict.fromkeys(ordinals, "x"))

    def with_parents_completed(self) -> TaskList:
        """The list with every open group ticked if all of its required subtasks are done."""
        open_below: set[int] = set()
        groups: set[int] = set()
        completed = []
        for task in reversed(self.tasks):
            if not task.optional:
                if task.state != "done" and task.ordinal in groups and task.ordinal not in open_below:
                    completed.append(task.ordinal)
                elif task.state != "done" or task.ordinal in open_below:
                    open_below.add(task.parent)
                groups.add(task.parent)
        return self.ticked(completed)

    def reset(self) -> TaskList:
        """The list with every task in progress or queued open again: ``[-]`` and ``[~]`` become ``[ ]``."""
        return self._marked({task.ordinal: " " for task in self.tasks if task.state in ("in_progress", "queued")})

    def _marked(self, marks: Mapping[int, str]) -> TaskList:
        if not marks:
            return self
        tasks = tuple(
            replace(task, state=STATES[marks[task.ordinal]]) if task.ordinal in marks else task for task in self.tasks
        )
        pieces, end = [], 0
        for task in self.tasks:
            if task.ordinal in marks:
                pieces += [self.text[end : task.offset], marks[task.ordinal]]
                end = task.offset + 1
        return TaskList("".join([*pieces, self.text[end:]]), tasks)


def completion(done: int, required: int) -> str:
    """``3 of 5 tasks done``, as the outcome Incomplete and the comment count them."""
    return f"{done} of {required} tasks done"


def read_task_list(text: str, path: str = TASKS_FILE) -> TaskList:
    """The task list in ``text``. Raises :class:`WorkItemInvalid` with every problem; ``path`` is where they are."""
    document = read_document(text)
    if document.problems:
        problems = "\n".join(f"{path}, {problem}" for problem in _shortened(document.problems))
        raise WorkItemInvalid(problems, "follow the instruction on each line, then commit and push the file")
    return TaskList(text, _tasks(document))


def parse_tasks(text: str) -> tuple[Task, ...]:
    """Every task in ``text``, in order."""
    return read_task_list(text).tasks


def open_tasks(text: str) -> tuple[Task, ...]:
    """The tasks in ``text`` that are neither done nor optional."""
    return read_task_list(text).open


def pending_leaf_tasks(text: str) -> tuple[Task, ...]:
    """The open tasks in ``text`` to give to the agent."""
    return read_task_list(text).pending_leaves


def tick(text: str, task: Task) -> str:
    """``text`` with the box of ``task`` ticked and nothing else changed."""
    return f"{text[: task.offset]}x{text[task.offset + 1 :]}"


def complete_parents(text: str) -> str:
    """``text`` with every open group ticked if all of its required subtasks are done."""
    return read_task_list(text).with_parents_completed().text


def reset(text: str) -> str:
    """``text`` with every task in progress or queued open again."""
    return read_task_list(text).reset().text


def _tasks(document: Document) -> tuple[Task, ...]:
    tasks: list[Task] = []
    boxes = [item.box for item in document.items if item.box]
    for ordinal, (box, parent) in enumerate(zip(boxes, find_parents(document.items), strict=True), 1):
        label = box.label
        optional = label.optional or (parent is not None and tasks[parent].optional)
        above = 0 if parent is None else parent + 1
        state = STATES[box.mark]
        tasks.append(Task(ordinal, box.line, box.offset, label.number, label.title, state, optional, above))
    return tuple(tasks)


def _shortened(problems: list[str]) -> list[str]:
    """At most so many problems that a comment can show them."""
    more = len(problems) - _MOST_PROBLEMS
    return problems if more <= 0 else [*problems[:_MOST_PROBLEMS], f"and {more} more: fix them as well"]
