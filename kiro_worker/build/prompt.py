"""What the agent is told: the spec's files, the tasks that are open, and what is not its business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.spec import DESIGN_FILE, REQUIREMENTS_FILES, TASKS_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kiro_worker.build.job import BuildJob
    from kiro_worker.spec import Task

_TEMPLATE: Final = """\
Implement the open tasks of the spec in {folder}/ in this repository.

Read first:
{files}

Open tasks, in this order:
{tasks}

How to work:
- Read the requirements and the design before you change code, and follow the conventions of the code that is there.
- Implement every open task completely, its tests included, and run the project's tests.
- Tick a task's box in {folder}/tasks.md ("- [ ]" becomes "- [x]") when it is done; change nothing else in that file.
- Work in this folder only. Do not push, do not switch branches, do not change git's configuration: your changes are
  committed, tested and pushed for you when you are done.
- Nobody can answer questions. Where the spec leaves something open, choose the simplest thing that satisfies it.
"""


def prompt(job: BuildJob, folder: Path, tasks: Sequence[Task]) -> str:
    """The text for the agent's standard input; ``folder`` is the checkout."""
    names = [
        name for name in (*REQUIREMENTS_FILES, DESIGN_FILE, TASKS_FILE) if (folder / job.spec_path / name).is_file()
    ]
    return _TEMPLATE.format(
        folder=job.spec_path,
        files="\n".join(f"- {job.spec_path}/{name}" for name in names),
        tasks="\n".join(f"- {task.number}{'. ' if task.number else ''}{task.title}" for task in tasks),
    )
