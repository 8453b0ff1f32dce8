"""Which task is a subtask of which.

A task belongs to the nearest task above it that is indented less, and among the tasks of the same group to the nearest
one above it whose number its own begins with. Numbers and titles may repeat: every phase of a plan can begin with 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.spec.markdown import Item


@dataclass
class _Number:
    """A number of a group, as a tree: ``1`` has the child ``1.2``. ``task`` is the last task with it, if any."""

    task: int | None = None
    below: dict[str, _Number] = field(default_factory=dict)

    def add(self, number: str, task: int) -> int | None:
        """Add ``task``, and return the task that it is numbered below."""
        parent: int | None = None
        node = self
        *above, last = number.split(".")
        for part in above:
            node = node.below.setdefault(part, _Number())
            parent = parent if node.task is None else node.task
        # A number that is used again begins a new group: nothing that follows belongs to the tasks below the old one.
        node.below[last] = _Number(task)
        return parent


@dataclass
class _Level:
    """An item that later ones may be indented below. ``task`` is the innermost task that it is or belongs to."""

    item: Item
    task: int | None
    numbers: _Number = field(default_factory=_Number)


def find_parents(items: Sequence[Item]) -> list[int | None]:
    """The parent of each task, as an index into the tasks; ``None`` for a task at the top.

    Items that are no tasks count as well: what is indented below one does not belong to the task before it.
    """
    parents: list[int | None] = []
    top = _Number()
    section = 0
    levels: list[_Level] = []
    for item in items:
        if item.section != section:
            section, top = item.section, _Number()
            levels.clear()
        while levels and (levels[-1].item.indent >= item.indent or levels[-1].item.list_id == item.list_id):
            levels.pop()
        outer = levels[-1].task if levels else None
        if item.box is None:
            levels.append(_Level(item, outer))
            continue
        task = len(parents)
        numbers = levels[-1].numbers if levels else top
        by_number = numbers.add(item.box.label.number, task) if item.box.label.number else None
        parents.append(outer if by_number is None else by_number)
        levels.append(_Level(item, task))
    return parents
