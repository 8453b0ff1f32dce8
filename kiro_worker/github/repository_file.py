"""The repository's own file, ``.kiro-worker.yml``, as it is at the default branch's commit: checked before a build.

A card's branch cannot change it, because only the default branch's file counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.config.repository_file import LARGEST_REPOSITORY_FILE, misnamed, parse_repository_file
from kiro_worker.config.resolve import resolve
from kiro_worker.config.settings import MISNAMED_FILE, REPOSITORY_FILE
from kiro_worker.errors import WorkItemInvalid
from kiro_worker.github.answers.repository import DefaultBranchAnswer
from kiro_worker.github.readiness_queries import READ_REPOSITORY_FILE
from kiro_worker.github.spec_folders import SUBMODULE, SYMLINK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiro_worker.config.model import Configuration
    from kiro_worker.config.settings import Settings
    from kiro_worker.github.answers.repository import DefaultBranchState
    from kiro_worker.github.client import GitHubSession


async def read_repository_settings(
    session: GitHubSession, configuration: Configuration, repository: str
) -> tuple[str, Settings]:
    """The commit of the default branch, and the effective settings of the repository there.

    Raises what :func:`repository_settings` raises, and :class:`WorkItemInvalid` if the token does not see the
    repository.
    """
    owner, _, name = repository.partition("/")
    variables = {"owner": owner, "name": name}
    found = DefaultBranchAnswer.parse(await session.query(READ_REPOSITORY_FILE, variables)).repository
    if found is None:
        raise WorkItemInvalid(
            f"the repository {repository} is not visible to the token",
            "check its name, or give the token access to it, with the scope repo",
        )
    return found.default_commit, repository_settings(found, configuration)


def repository_settings(repository: DefaultBranchState, configuration: Configuration) -> Settings:
    """The effective settings of the repository.

    Raises :class:`WorkItemInvalid` with every problem of the file, and :class:`ConfigurationInvalid`.
    """
    if repository.has_misnamed_file:
        raise misnamed(f"{MISNAMED_FILE} on {repository.default_branch}")
    source = f"{REPOSITORY_FILE} on {repository.default_branch}"
    return resolve(configuration, repository.name, parse_repository_file(_text(repository, source), source))


def repository_file_problems(repository: DefaultBranchState, configuration: Configuration) -> Iterator[str]:
    """Every problem of the file."""
    try:
        repository_settings(repository, configuration)
    except WorkItemInvalid as error:
        yield from error.reason.splitlines()


def _text(repository: DefaultBranchState, source: str) -> str:
    """The text of the file; empty if there is none."""
    file = repository.own_file
    if file is None:
        return ""
    problem = ""
    if file.mode == SYMLINK:
        problem = "is a symbolic link: commit the file itself"
    elif file.mode == SUBMODULE or file.type != "blob" or file.blob is None:
        problem = "is not a file: commit the file itself"
    elif file.blob.is_truncated or file.blob.byte_size > LARGEST_REPOSITORY_FILE:
        problem = f"is {file.blob.byte_size} bytes, but the limit is {LARGEST_REPOSITORY_FILE}: shorten it"
    elif file.blob.is_binary or file.blob.text is None:
        problem = "is not a text file: commit it as UTF-8"
    if problem or file.blob is None:
        raise WorkItemInvalid(f"{source} {problem}", "")
    return file.blob.text or ""
