"""A Kiro spec: its files, and the tasks of its ``tasks.md``.

::

    files.py      names and location of a spec's files
    text.py       what no spec file may contain: conflict markers and hidden text
    markdown.py   the list items of ``tasks.md``, as CommonMark defines them
    box.py        the box, number and title at the beginning of an item
    groups.py     which task is a subtask of which
    tasks.py      the task list: what is open, and ticking boxes
    checks.py     which tasks only ask for a check
"""

from __future__ import annotations

from kiro_worker.spec.box import STATES, TaskState
from kiro_worker.spec.checks import is_check_only
from kiro_worker.spec.files import (
    DESIGN_FILE,
    LARGEST_FILE,
    REQUIREMENTS_FILES,
    TASKS_FILE,
    folder_name_problem,
    named_spec_folder,
    spec_folder,
)
from kiro_worker.spec.tasks import (
    Task,
    TaskList,
    complete_parents,
    completion,
    open_tasks,
    parse_tasks,
    pending_leaf_tasks,
    read_task_list,
    reset,
    tick,
)
from kiro_worker.spec.text import invisible_character, text_problems

__all__ = [
    "DESIGN_FILE",
    "LARGEST_FILE",
    "REQUIREMENTS_FILES",
    "STATES",
    "TASKS_FILE",
    "Task",
    "TaskList",
    "TaskState",
    "complete_parents",
    "completion",
    "folder_name_problem",
    "invisible_character",
    "is_check_only",
    "named_spec_folder",
    "open_tasks",
    "parse_tasks",
    "pending_leaf_tasks",
    "read_task_list",
    "reset",
    "spec_folder",
    "text_problems",
    "tick",
]
