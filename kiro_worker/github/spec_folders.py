"""Which folder holds the spec of a branch.

It is the folder named after the branch, else the one that the card's field names, else the only one that the branch
adds to its base.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.github.answers.repository import SpecAnswer, SpecRoots, SpecRootsAnswer
from kiro_worker.github.pull_requests import base_branch
from kiro_worker.github.readiness_queries import FIND_SPEC, READ_SPEC
from kiro_worker.spec import TASKS_FILE, folder_name_problem, named_spec_folder, spec_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.answers.repository import RepositoryState, RootEntry, SpecFile
    from kiro_worker.github.client import GitHubSession

SYMLINK: Final = 0o120000
SUBMODULE: Final = 0o160000
_MOST_NAMES: Final = 20


@dataclass(frozen=True)
class Spec:
    """The spec folder of a branch, with its files and the text of its task list.

    If there is none, ``problem`` is the reason. It is empty if the branch does not exist, which is another reason.
    """

    folder: str = ""
    files: tuple[SpecFile, ...] = ()
    tasks: str = ""
    problem: str = ""


async def find_spec(
    session: GitHubSession, configuration: Configuration, found: RepositoryState, branch: str, named: str = ""
) -> Spec:
    """The spec of the branch. ``named`` is the text of the card's field.

    Only a folder that is not named after the branch costs further requests. They are about the commit that the first
    request found, so that a push in between changes nothing.
    """
    root = configuration.spec_root
    if found.spec_files is not None:
        return Spec(spec_folder(root, branch), found.spec_files, found.tasks)
    if not found.commit:
        return Spec()
    if not named:
        roots = await _read_roots(session, configuration, found)
        folder, problem = choose_folder(roots, configuration, branch)
    else:
        folder, problem = _folder_in_field(configuration, named)
    if not problem and (spec := await _read_spec(session, found, folder)):
        return spec
    if named:
        roots = await _read_roots(session, configuration, found)
        problem = _field_problem(roots, configuration, named, problem or _missing(roots, root, folder))
    return Spec(problem=problem or f"{folder} is not a folder on {branch}: commit the spec itself")


def choose_folder(roots: SpecRoots, configuration: Configuration, branch: str) -> tuple[str, str]:
    """The only folder that the branch adds to its base, or why there is not exactly one."""
    root, own = configuration.spec_root, spec_folder(configuration.spec_root, branch)
    # A base that does not exist has no folders, but that does not make those of the branch new.
    added = [entry for entry in roots.on_branch if entry.name not in roots.on_base and not _is_file(entry)]
    if roots.base is None:
        added = []
    how = (
        f"commit and push the spec as {own}, or enter the name of its folder in the card's field"
        f' "{configuration.spec_field}"'
    )
    if len(added) == 1:
        problem = _entry_problem(added[0])
        return f"{root}/{added[0].name}", f"{root}/{added[0].name!a} cannot be the spec: {problem}" if problem else ""
    if added:
        names = _listed([entry.name for entry in added if not _entry_problem(entry)])
        return "", (
            f"the spec folder {own} does not exist on {branch}, and the branch adds {len(added)} folders below"
            f" {root} ({names}); {_existing(roots, root)}: {how}"
        )
    return "", (
        f"the spec folder {own} does not exist on {branch}, and the branch adds no folder below {root};"
        f" {_existing(roots, root)}: {how}"
    )


def _folder_in_field(configuration: Configuration, named: str) -> tuple[str, str]:
    try:
        return named_spec_folder(configuration.spec_root, named), ""
    except ValueError as error:
        return "", str(error)


def _field_problem(roots: SpecRoots, configuration: Configuration, named: str, problem: str) -> str:
    root = configuration.spec_root
    return (
        f'the card\'s field "{configuration.spec_field}" contains {named[:100]!a}, but {problem};'
        f" {_existing(roots, root)}: enter the name of a folder below {root}"
    )


def _missing(roots: SpecRoots, root: str, folder: str) -> str:
    """Why the valid path ``folder`` is not a folder of the branch."""
    entry = next((entry for entry in roots.on_branch if f"{root}/{entry.name}" == folder), None)
    return f"{folder} {_kind_problem(entry) if entry else 'does not exist on the branch'}"


def _is_file(entry: RootEntry) -> bool:
    return entry.type == "blob" and entry.mode != SYMLINK


def _kind_problem(entry: RootEntry) -> str:
    if entry.mode == SYMLINK:
        return "is a symbolic link"
    if entry.mode == SUBMODULE or entry.type == "commit":
        return "is a submodule"
    return "" if entry.type == "tree" else "is a file"


def _entry_problem(entry: RootEntry) -> str:
    """Why the entry cannot be a spec folder, with the fix; empty if it can."""
    if kind := _kind_problem(entry):
        return f"it {kind}: commit the folder itself"
    name = folder_name_problem(entry.name)
    return f"{name}: rename it" if name else ""


def _existing(roots: SpecRoots, root: str) -> str:
    """The folders that could be chosen."""
    names = [entry.name for entry in roots.on_branch if not _entry_problem(entry)]
    return f"{root} contains {_listed(names)}" if names else f"{root} contains no folder"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"


async def _read_roots(session: GitHubSession, configuration: Configuration, found: RepositoryState) -> SpecRoots:
    base, root = base_branch(found, configuration), configuration.spec_root
    variables = {
        **_owner_and_name(found),
        "onBranch": f"{found.commit}:{root}",
        "baseRef": f"refs/heads/{base}",
        "onBase": f"refs/heads/{base}:{root}",
    }
    return SpecRootsAnswer.parse(await session.query(FIND_SPEC, variables)).repository or SpecRoots()


async def _read_spec(session: GitHubSession, found: RepositoryState, folder: str) -> Spec | None:
    path = f"{found.commit}:{folder}"
    variables = {**_owner_and_name(found), "specFolder": path, "tasks": f"{path}/{TASKS_FILE}"}
    read = SpecAnswer.parse(await session.query(READ_SPEC, variables)).repository
    return Spec(folder, read.spec_files, read.tasks) if read and read.spec_files is not None else None


def _owner_and_name(found: RepositoryState) -> dict[str, str]:
    owner, _, name = found.name.partition("/")
    return {"owner": owner, "name": name}
