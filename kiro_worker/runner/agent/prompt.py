"""The prompt: which of the spec's files to read, what to do, and what to leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.spec import DESIGN_FILE, REQUIREMENTS_FILES, TASKS_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.spec import Task

_TEMPLATE: Final = """\
{goal}

Read first:
{files}

{tasks}

How to work:
- Read the requirements and the design before you change code, and follow the conventions of the existing code.
- {how}
- When a task is done, tick its box in {spec_path}/tasks.md ("- [ ]" becomes "- [x]"); change nothing else in that file.
- Work in this folder only. Do not push, do not switch branches, do not change git's configuration: your changes are
  committed, tested and pushed for you when you are done.
- No one can answer questions. Where the spec leaves something open, choose the simplest solution that satisfies it.
"""
_LONGEST_OUTPUT: Final = 8_000


def prompt(request: BuildRequest, folder: Path, tasks: Sequence[Task]) -> str:
    """Return the prompt for one task, or for all of ``tasks`` in one turn. ``folder`` is the checkout."""
    names = "\n".join(f"- {task.number}{'. ' if task.number else ''}{task.title}" for task in tasks)
    if len(tasks) == 1:
        # Names can repeat in a list.
        location = f"It begins on line {tasks[0].line + 1} of {request.spec_path}/{TASKS_FILE}."
        return _filled(
            request,
            folder,
            goal=f"Implement one task of the spec in {request.spec_path}/ in this repository.",
            tasks=f"Your task, and no other:\n{names}\n  {location}",
            how="Implement this task completely, including its tests, and run the project's tests. Do not start other"
            " open tasks:\n  each of them gets its own turn later.",
        )
    return _filled(
        request,
        folder,
        goal=f"Implement the open tasks of the spec in {request.spec_path}/ in this repository.",
        tasks=f"Open tasks, in this order:\n{names}",
        how="Implement every open task completely, including its tests, and run the project's tests.",
    )


def fixing_prompt(request: BuildRequest, folder: Path, reason: str, output: str) -> str:
    """Return the prompt for work whose tasks are all done but which the gate rejected."""
    quoted = "\n".join(f"    {line}" for line in output[-_LONGEST_OUTPUT:].splitlines())
    return _filled(
        request,
        folder,
        goal=f"The tasks of the spec in {request.spec_path}/ are implemented in this repository, but its checks fail.",
        tasks=f"The checks reported ({reason}):\n{quoted}",
        how="Find the cause and fix it in the code, or in a test where the test contradicts the spec. Do not remove or"
        " weaken a\n  test.",
    )


def _filled(request: BuildRequest, folder: Path, *, goal: str, tasks: str, how: str) -> str:
    spec_path = request.spec_path
    names = [name for name in (*REQUIREMENTS_FILES, DESIGN_FILE, TASKS_FILE) if (folder / spec_path / name).is_file()]
    files = "\n".join(f"- {spec_path}/{name}" for name in names)
    return _TEMPLATE.format(goal=goal, files=files, tasks=tasks, how=how, spec_path=spec_path)
