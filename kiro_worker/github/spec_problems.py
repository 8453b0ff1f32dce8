"""Whether the files of a spec can be built: requirements, design and the list of tasks, as GitHub shows them.

The rules are pure functions of GitHub's answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.github.spec_folders import SUBMODULE, SYMLINK
from kiro_worker.spec import DESIGN_FILE, LARGEST_FILE, REQUIREMENTS_FILES, TASKS_FILE, read_task_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kiro_worker.github.answers.repository import SpecFile
    from kiro_worker.github.spec_folders import Spec

_NO_OPEN_TASK: Final = "has no open task: untick a box, or add a line such as '- [ ] 1. …'"


def spec_problems(spec: Spec, has_pushed: Callable[[], bool]) -> Iterator[str]:
    """Every reason why the spec cannot be built, each with its fix.

    ``has_pushed`` is called only if no task is open. After its own push, a run needs none.
    """
    if not spec.folder:
        yield from filter(None, [spec.problem])
        return
    folder, files = spec.folder, {file.name: file for file in spec.files}
    requirements = next((name for name in REQUIREMENTS_FILES if name in files), None)
    if requirements is None:
        yield f"{folder}/requirements.md (or bugfix.md) is missing: write it, commit and push it"
    tasks_are_readable = True
    for name in filter(None, (requirements, DESIGN_FILE, TASKS_FILE)):
        if problem := _file_problem(files.get(name), f"{folder}/{name}"):
            tasks_are_readable = tasks_are_readable and name != TASKS_FILE
            yield problem
    if tasks_are_readable:
        yield from _tasks_problems(spec, has_pushed)


def _file_problem(file: SpecFile | None, path: str) -> str | None:
    if file is None:
        return f"{path} is missing: write it, commit and push it"
    if file.mode == SYMLINK:
        return f"{path} is a symbolic link: commit the file itself"
    if file.mode == SUBMODULE or file.type != "blob":
        return f"{path} is not a file: commit the file itself"
    if file.size == 0:
        return f"{path} is empty: write it, commit and push it"
    if file.size > LARGEST_FILE:
        return f"{path} is {file.size / 10**6:.1f} MB, but the limit is {LARGEST_FILE // 1000} KB: split the spec"
    if file.is_binary:
        return f"{path} is not a text file: commit it as plain text"
    return None


def _tasks_problems(spec: Spec, has_pushed: Callable[[], bool]) -> Iterator[str]:
    text, path = spec.tasks, f"{spec.folder}/{TASKS_FILE}"
    if not text.strip():
        yield f"{path} is empty: write it, commit and push it"
        return
    try:
        task_list = read_task_list(text, path)
    except WorkItemInvalid as error:
        yield from error.reason.splitlines()
        return
    if not task_list.open and not has_pushed():
        yield f"{path} {_NO_OPEN_TASK}"


def only_lacks_open_task(reasons: str) -> bool:
    """Whether the text of a :class:`WorkItemInvalid` has no other reason than that no task is open."""
    first, _, rest = reasons.partition("\n")
    # Only at the end, because a reason can quote text from the card.
    return first.endswith(f"/{TASKS_FILE} {_NO_OPEN_TASK}") and rest.startswith("How to fix: ")
