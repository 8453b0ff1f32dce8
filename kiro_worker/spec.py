"""A Kiro spec: where it lies, and the tasks of its ``tasks.md``.

The form is Kiro's own: ``- [ ] 1. Title``, ``- [x]`` done, ``- [-]`` in progress, ``- [ ]* …`` optional, nested
numbers (``1.1``). What is inside a code fence is not a task. A task with parts (``1`` of ``1.1``, or lines indented
below it) only holds them together: it is done when they are.
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
"""Bytes a spec file may have: GitHub gives no more of a blob's text than this, and no agent reads more."""

_BOX: Final[dict[str, TaskState]] = {" ": "open", "x": "done", "X": "done", "-": "in_progress"}
_TASK = re.compile(
    r"(?P<indent>[ \t]*)[-*+] \[(?P<box>[ xX-])\](?P<optional>\*)?[ \t]+"
    r"(?P<number>\d+(?:\.\d+)*\.?(?=[ \t]))?[ \t]*(?P<title>\S.*?)[ \t]*"
)
# https://spec.commonmark.org/0.31.2/: what ends a line (nothing else does, whatever str.splitlines thinks), and what
# begins a fence (after backticks no other backtick may follow).
_LINE_ENDS = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")
_FENCE = re.compile(r"[ \t]*(?P<marker>```+(?=[^`]*$)|~~~+)(?P<info>.*)")


@dataclass(frozen=True)
class Task:
    """``line`` counts from 0; ``number`` is as written without the last dot, empty when there is none; ``indent`` is
    in columns.
    """

    line: int
    number: str
    title: str
    state: TaskState
    optional: bool = False
    indent: int = 0

    @property
    def name(self) -> str:
        """What people call it, and what tells it from others: ``1.1 Title``."""
        return f"{self.number} {self.title}".strip()


def spec_folder(spec_root: str, branch: str) -> str:
    """``.kiro/specs/feature-discounts`` for the branch ``feature/discounts``."""
    return f"{spec_root.strip('/')}/{branch.replace('/', '-')}"


def parse_tasks(text: str) -> tuple[Task, ...]:
    """Every task of the list, in order."""
    tasks = []
    fence = ""
    for index, line in enumerate(_lines(text)):
        plain = line.rstrip("\r\n")
        if found := _FENCE.fullmatch(plain):
            fence = _fence_after(fence, found["marker"], found["info"])
            continue
        if not fence and (match := _TASK.fullmatch(plain)):
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
    """The tasks still to do: neither done nor optional. One left in progress counts as open, for nobody is at it any
    more.
    """
    return tuple(task for task in parse_tasks(text) if task.state != "done" and not task.optional)


def pending_leaf_tasks(text: str) -> tuple[Task, ...]:
    """The open tasks that somebody has to work at: without those that have parts, for these are asked for, and without
    the parts of optional ones.
    """
    tasks = parse_tasks(text)
    optional = {part for task in tasks if task.optional for part in subtasks(task, tasks)}
    return tuple(task for task in open_tasks(text) if task not in optional and not _required_subtasks(task, tasks))


def tick(text: str, task: Task) -> str:
    """The same text with that task's box ticked and nothing else changed."""
    return _mark(text, task, "x")


def complete_parents(text: str) -> str:
    """Tick every open task whose parts are all done; the optional ones do not count."""
    tasks = parse_tasks(text)
    for task in reversed(tasks):
        parts = _required_subtasks(task, parse_tasks(text))
        if task.state != "done" and not task.optional and parts and all(part.state == "done" for part in parts):
            text = tick(text, task)
    return text


def reset(text: str) -> str:
    """Nobody is at a task that was left in progress: ``[-]`` becomes ``[ ]``."""
    for task in parse_tasks(text):
        if task.state == "in_progress":
            text = _mark(text, task, " ")
    return text


def _mark(text: str, task: Task, box: str) -> str:
    lines = _lines(text)
    lines[task.line] = re.sub(r"\[[ xX-]\]", f"[{box}]", lines[task.line], count=1)
    return "".join(lines)


def _lines(text: str) -> list[str]:
    """Markdown's lines, with their ends."""
    return _LINE_ENDS.split(text)


def _required_subtasks(task: Task, tasks: tuple[Task, ...]) -> list[Task]:
    return [part for part in subtasks(task, tasks) if not part.optional]


def subtasks(task: Task, tasks: tuple[Task, ...]) -> list[Task]:
    """What belongs to ``task``: by its number, or by standing indented below it."""
    found = [part for part in tasks if task.number and part.number.startswith(f"{task.number}.")]
    for part in tasks[tasks.index(task) + 1 :]:
        if part.indent <= task.indent:
            break
        if part not in found:
            found.append(part)
    return found


def _fence_after(fence: str, marker: str, info: str) -> str:
    if not fence:
        return marker
    closes = marker[0] == fence[0] and len(marker) >= len(fence) and not info.strip()
    return "" if closes else fence
