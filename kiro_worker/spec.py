"""A Kiro spec: where it lies, and the tasks of its ``tasks.md``.

The form is Kiro's own: ``- [ ] 1. Title``, ``- [x]`` done, ``- [-]`` in progress, ``- [ ]* …`` optional, nested
numbers (``1.1``). What is inside a code fence is not a task.
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
    r"^\s*[-*+] \[(?P<box>[ xX-])\](?P<optional>\*)?[ \t]+"
    r"(?P<number>\d+(?:\.\d+)*\.?(?=\s))?[ \t]*(?P<title>\S.*?)[ \t]*$"
)
_FENCE = re.compile(r"^\s*(```+|~~~+)")


@dataclass(frozen=True)
class Task:
    """``line`` counts from 0; ``number`` is as written without the last dot, empty when there is none."""

    line: int
    number: str
    title: str
    state: TaskState
    optional: bool = False


def spec_folder(spec_root: str, branch: str) -> str:
    """``.kiro/specs/feature-discounts`` for the branch ``feature/discounts``."""
    return f"{spec_root.strip('/')}/{branch.replace('/', '-')}"


def parse_tasks(text: str) -> tuple[Task, ...]:
    """Every task of the list, in order."""
    tasks = []
    fence = ""
    for index, line in enumerate(text.splitlines()):
        if marker := _FENCE.match(line):
            fence = _fence_after(fence, marker.group(1))
            continue
        if not fence and (match := _TASK.match(line)):
            tasks.append(
                Task(
                    line=index,
                    number=(match["number"] or "").rstrip("."),
                    title=match["title"],
                    state=_BOX[match["box"]],
                    optional=match["optional"] is not None,
                )
            )
    return tuple(tasks)


def open_tasks(text: str) -> tuple[Task, ...]:
    """The tasks still to do: neither done nor optional. One left in progress counts as open, for nobody is at it any
    more.
    """
    return tuple(task for task in parse_tasks(text) if task.state != "done" and not task.optional)


def tick(text: str, task: Task) -> str:
    """The same text with that task's box ticked and nothing else changed."""
    lines = text.splitlines(keepends=True)
    lines[task.line] = re.sub(r"\[[ xX-]\]", "[x]", lines[task.line], count=1)
    return "".join(lines)


def _fence_after(fence: str, marker: str) -> str:
    if not fence:
        return marker
    closes = marker[0] == fence[0] and len(marker) >= len(fence)
    return "" if closes else fence
