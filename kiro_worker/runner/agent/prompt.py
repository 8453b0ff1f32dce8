"""What the agent is told: the spec's files, the task it is to do, and what is not its business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.spec import DESIGN_FILE, REQUIREMENTS_FILES, TASKS_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.spec import Task

_TEMPLATE: Final = """\
{ask}

Read first:
{files}

{tasks}

How to work:
- Read the requirements and the design before you change code, and follow the conventions of the code that is there.
- {how}
- Tick a task's box in {folder}/tasks.md ("- [ ]" becomes "- [x]") when it is done; change nothing else in that file.
- Work in this folder only. Do not push, do not switch branches, do not change git's configuration: your changes are
  committed, tested and pushed for you when you are done.
- Nobody can answer questions. Where the spec leaves something open, choose the simplest thing that satisfies it.
"""
_LONGEST_OUTPUT: Final = 8_000


def prompt(request: BuildRequest, folder: Path, tasks: Sequence[Task]) -> str:
    """The text for the agent's standard input: one task, or all of ``tasks``; ``folder`` is the checkout."""
    names = "\n".join(f"- {task.number}{'. ' if task.number else ''}{task.title}" for task in tasks)
    if len(tasks) == 1:
        return _filled(
            request,
            folder,
            f"Implement one task of the spec in {request.spec_path}/ in this repository.",
            f"The task, and no other:\n{names}",
            "Implement this task completely, its tests included, and run the project's tests. Other open tasks are"
            " asked for\n  later, one by one: do not begin them.",
        )
    return _filled(
        request,
        folder,
        f"Implement the open tasks of the spec in {request.spec_path}/ in this repository.",
        f"Open tasks, in this order:\n{names}",
        "Implement every open task completely, its tests included, and run the project's tests.",
    )


def fixing_prompt(request: BuildRequest, folder: Path, reason: str, output: str) -> str:
    """For work whose tasks are all done and whose tests fail."""
    quoted = "\n".join(f"    {line}" for line in output[-_LONGEST_OUTPUT:].splitlines())
    return _filled(
        request,
        folder,
        f"The tasks of the spec in {request.spec_path}/ are implemented in this repository, but its checks fail.",
        f"What the checks said ({reason}):\n{quoted}",
        "Find the cause and mend it in the code, or in a test where the test contradicts the spec. Remove or weaken no"
        " test.",
    )


def _filled(request: BuildRequest, folder: Path, ask: str, tasks: str, how: str) -> str:
    names = [
        name for name in (*REQUIREMENTS_FILES, DESIGN_FILE, TASKS_FILE) if (folder / request.spec_path / name).is_file()
    ]
    files = "\n".join(f"- {request.spec_path}/{name}" for name in names)
    return _TEMPLATE.format(ask=ask, files=files, tasks=tasks, how=how, folder=request.spec_path)
