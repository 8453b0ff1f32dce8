"""Whether a branch changes files that can steer an agent or run commands, as far as GitHub shows it before a build.

The guard of the build decides. Both have one rule: a guarded file may be as on the default branch, or as it was there
when the branch left it. What this check cannot find out, it leaves to the build: files beyond the 300 that a comparison
lists, the targets of symbolic links, and everything for which GitHub gives no answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.errors import GitHubAnswerInvalid
from kiro_worker.github.answers.comparison import Comparison, FileVersionsAnswer
from kiro_worker.github.labels import read_labeling
from kiro_worker.github.readiness_queries import COMPARE_FILES, COMPARED_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.answers.repository import PullRequest, RepositoryState
    from kiro_worker.github.client import GitHubSession

_LONGEST_NAME: Final = 200


async def guard_problem(
    session: GitHubSession,
    configuration: Configuration,
    repository: RepositoryState,
    pull_request: PullRequest,
    branch: str,
) -> str | None:
    """Why the guard would stop a build of the branch, with the fix; ``None`` if it would not, or that is not known."""
    changed = await _changed_guarded_files(session, configuration, repository)
    if not changed:
        return None
    label, problem = configuration.guard_label, ""
    if label is not None:
        labeling = await read_labeling(session, repository.name, pull_request.number, label)
        if labeling.added_by:
            return None
        problem = f'; the label "{label}" does not allow this, because {labeling.problem}'
    alternative = (
        f'have a person with write access set the label "{label}" on pull request #{pull_request.number}'
        if label is not None
        else 'configure a "guardLabel", which allows the change once it is on the pull request'
    )
    return (
        f"{branch} changes files that steer an agent or run commands ({', '.join(map(_shown, changed))}){problem}: undo"
        f" these changes on {branch}, or review them and {alternative}"
    )


def is_guarded(path: str, guarded: Iterable[str]) -> bool:
    """Whether a guarded path covers the file.

    A guarded path with a slash is one file or folder. Without a slash it is a name in any folder.
    """
    for each in guarded:
        anchored = each.removeprefix("./")
        if "/" not in each:
            if each in path.split("/"):
                return True
        elif f"{path}/".startswith(f"{anchored}/"):
            return True
    return False


async def _changed_guarded_files(
    session: GitHubSession, configuration: Configuration, repository: RepositoryState
) -> list[str]:
    """The guarded files that differ both from the default branch's commit and from where the branch left it."""
    default, commit, guarded = repository.default_commit, repository.commit, configuration.everything_guarded
    if not default or not commit or default == commit or not guarded:
        return []
    # Three dots compare with the merge base. One commit per page is enough: the files are all on the first page.
    answer = await session.get(f"repos/{repository.name}/compare/{default}...{commit}?per_page=1")
    if answer is None:
        return []
    try:
        files = Comparison.parse(answer).files
    except GitHubAnswerInvalid:
        return []
    paths = dict.fromkeys(path for file in files for path in file.changed_paths if is_guarded(path, guarded))
    return await _different_from_default(session, repository, list(paths)[:COMPARED_FILES])


async def _different_from_default(session: GitHubSession, repository: RepositoryState, paths: list[str]) -> list[str]:
    """Those of the files that are not as on the default branch: a branch may have taken over a newer version."""
    if not paths:
        return []
    owner, _, name = repository.name.partition("/")
    padded = paths + paths[:1] * (COMPARED_FILES - len(paths))
    variables = {
        "owner": owner,
        "name": name,
        "default": repository.default_commit,
        "commit": repository.commit,
        **{f"path{number}": path for number, path in enumerate(padded)},
    }
    versions = FileVersionsAnswer.parse(await session.query(COMPARE_FILES, variables))
    return [path for number, path in enumerate(paths) if versions.differ(number)]


def _shown(path: str) -> str:
    """The path on one line and without invisible characters."""
    text = path if path.isprintable() else ascii(path)[1:-1]
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"
