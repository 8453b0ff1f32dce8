"""A Kiro spec: the folder it is in, and the tasks of its ``tasks.md``.

Kiro writes ``- [ ] 1. Title``, ``- [x]`` for done, ``- [-]`` for in progress, ``- [ ]* …`` for optional, and nested
numbers (``1.1``). Text inside a code fence is not a task. A task with subtasks (``1.1`` under ``1``, or lines indented
below it) only groups them, and is done when they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

TaskState = Literal["open", "in_progress", "done"]

TASKS_FILE: Final = "tasks.md"
REQUIREMENTS_FILES: Final = ("requirements.md", "bugfix.md")
DESIGN_FILE: Final = "design.md"
LARGEST_FILE: Final = 512_000
"""The maximum size of a spec file in bytes: GitHub returns no more of a blob's text, and no agent reads more."""

_BOX: Final[dict[str, TaskState]] = {" ": "open", "x": "done", "X": "done", "-": "in_progress"}
_TASK = re.compile(
    r"(?P<indent>[ \t]*)[-*+] \[(?P<box>[ xX-])\](?P<optional>\*)?[ \t]+"
    r"(?P<number>\d+(?:\.\d+)*\.?(?=[ \t]))?[ \t]*(?P<title>\S.*?)[ \t]*"
)
# CommonMark (https://spec.commonmark.org/0.31.2/) has fewer line endings than str.splitlines, and does not allow a
# backtick anywhere after an opening fence of backticks.
_LINE_ENDS = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")
_FENCE = re.compile(r"[ \t]*(?P<marker>```+(?=[^`]*$)|~~~+)(?P<info>.*)")


@dataclass(frozen=True)
class Task:
    """One task of the list.

    ``line`` counts from 0. ``number`` has no trailing dot, and is empty for a task without a number. ``indent`` is in
    columns.
    """

    line: int
    number: str
    title: str
    state: TaskState
    optional: bool = False
    indent: int = 0

    @property
    def name(self) -> str:
        """The number and title by which people and prompts refer to the task: ``1.1 Title``."""
        return f"{self.number} {self.title}".strip()


def spec_folder(spec_root: str, branch: str) -> str:
    """The folder of a branch's spec: ``.kiro/specs/feature-discounts`` for ``feature/discounts``."""
    return f"{spec_root.strip('/')}/{branch.replace('/', '-')}"


def parse_tasks(text: str) -> tuple[Task, ...]:
    """Every task in ``text``, in order."""
    tasks = []
    fence = ""
    for index, line in enumerate(_lines(text)):
        content = line.rstrip("\r\n")
        if marker := _FENCE.fullmatch(content):
            fence = _fence_after(fence, marker["marker"], marker["info"])
            continue
        if not fence and (match := _TASK.fullmatch(content)):
            tasks.append(
                Task(
                    line=index,
                    number=(match["number"] or "").rstrip("."),
                    title=match["title"],
                    state=_BOX[match["box"]],
                    optional=match["optional"] is not None,
                    indent=len(match["indent"].expandtabs(4)),
                )
            )
    return tuple(tasks)


def open_tasks(text: str) -> tuple[Task, ...]:
    """The tasks that are neither done nor optional.

    A task in progress is open: the agent that marked it is no longer working on it.
    """
    return tuple(task for task in parse_tasks(text) if task.state != "done" and not task.optional)


def pending_leaf_tasks(text: str) -> tuple[Task, ...]:
    """The open tasks to give to the agent.

    Groups are left out, because the agent gets their subtasks instead, and so is every task below an optional one.
    """
    tasks = parse_tasks(text)
    below_optional = {subtask for task in tasks if task.optional for subtask in subtasks(task, tasks)}
    return tuple(
        task for task in open_tasks(text) if task not in below_optional and not _required_subtasks(task, tasks)
    )


def tick(text: str, task: Task) -> str:
    """``text`` with the box of ``task`` ticked and nothing else changed."""
    return _mark(text, task, "x")


def complete_parents(text: str) -> str:
    """``text`` with every open group ticked if all of its required subtasks are done."""
    tasks = parse_tasks(text)
    for task in reversed(tasks):
        required = _required_subtasks(task, parse_tasks(text))
        done = bool(required) and all(subtask.state == "done" for subtask in required)
        if done and task.state != "done" and not task.optional:
            text = tick(text, task)
    return text


def reset(text: str) -> str:
    """``text`` with every task in progress open again: ``[-]`` becomes ``[ ]``."""
    for task in parse_tasks(text):
        if task.state == "in_progress":
            text = _mark(text, task, " ")
    return text


def _mark(text: str, task: Task, box: str) -> str:
    lines = _lines(text)
    lines[task.line] = re.sub(r"\[[ xX-]\]", f"[{box}]", lines[task.line], count=1)
    return "".join(lines)


def _lines(text: str) -> list[str]:
    """The lines of ``text`` as Markdown defines them, with their line endings."""
    return _LINE_ENDS.split(text)


def _required_subtasks(task: Task, tasks: tuple[Task, ...]) -> list[Task]:
    return [subtask for subtask in subtasks(task, tasks) if not subtask.optional]


def subtasks(task: Task, tasks: tuple[Task, ...]) -> list[Task]:
    """The tasks below ``task``, at any depth: numbered below it, or indented below it."""
    below = [other for other in tasks if task.number and other.number.startswith(f"{task.number}.")]
    for other in tasks[tasks.index(task) + 1 :]:
        if other.indent <= task.indent:
            break
        if other not in below:
            below.append(other)
    return below


def _fence_after(fence: str, marker: str, info: str) -> str:
    """The fence that is open after a line with ``marker``, if ``fence`` was open before it; empty if none is open."""
    if not fence:
        return marker
    closes = marker[0] == fence[0] and len(marker) >= len(fence) and not info.strip()
    return "" if closes else fence
