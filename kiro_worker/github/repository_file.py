"""The repository's own file, ``.kiro-worker.yml``: its text at the default branch's commit, or why it cannot be read.

A card's branch cannot change it, because only the default branch's file counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.github.readiness_queries import REPOSITORY_FILE
from kiro_worker.github.spec_folders import SUBMODULE, SYMLINK

if TYPE_CHECKING:
    from kiro_worker.github.answers.repository import RepositoryState

LARGEST_FILE: Final = 64 * 1024


def repository_file_problem(repository: RepositoryState) -> str | None:
    """Why the file cannot be read, with the fix; ``None`` if it can, or there is none."""
    file = repository.own_file
    if file is None:
        return None
    path = f"{REPOSITORY_FILE} on {repository.default_branch}"
    if file.mode == SYMLINK:
        return f"{path} is a symbolic link: commit the file itself"
    if file.mode == SUBMODULE or file.type != "blob" or file.blob is None:
        return f"{path} is not a file: commit the file itself"
    if file.blob.is_truncated or file.blob.byte_size > LARGEST_FILE:
        return f"{path} is {file.blob.byte_size} bytes, but the limit is {LARGEST_FILE // 1024} KB: shorten it"
    if file.blob.is_binary or file.blob.text is None:
        return f"{path} is not a text file: commit it as UTF-8"
    return None


def repository_file_text(repository: RepositoryState) -> str:
    """The text of the file; empty if there is none, or it cannot be read."""
    file = repository.own_file
    if file is None or file.blob is None or repository_file_problem(repository):
        return ""
    return file.blob.text or ""
