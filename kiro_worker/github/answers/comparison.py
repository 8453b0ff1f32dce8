"""What a branch changes since it left the default branch, and the versions of files in two commits."""

from __future__ import annotations

from pydantic import Field

from kiro_worker.github.answers.base import Answer


class ChangedFile(Answer):
    """A file that the branch changes; ``previous_name`` is what a renamed file was called."""

    name: str = Field(alias="filename")
    status: str
    previous_name: str | None = Field(default=None, alias="previous_filename")

    @property
    def changed_paths(self) -> tuple[str, ...]:
        """The paths whose contents differ because of this change."""
        if self.status == "unchanged":
            return ()
        return (self.name, self.previous_name) if self.status == "renamed" and self.previous_name else (self.name,)


class Comparison(Answer):
    """The answer of REST to a comparison with the default branch: at most 300 files, all on its first page.

    https://docs.github.com/en/rest/commits/commits#compare-two-commits
    """

    files: tuple[ChangedFile, ...] = Field(strict=False)


class FileVersion(Answer):
    """A file in a commit. ``mode`` is git's."""

    mode: int
    oid: str


class _Versions(Answer):
    default: dict[str, FileVersion | str | None] | None = None
    commit: dict[str, FileVersion | str | None] | None = None


class FileVersionsAnswer(Answer):
    """The answer to ``COMPARE_FILES``; ``repository`` is ``None`` if the token no longer sees it."""

    repository: _Versions | None = None

    def differ(self, number: int) -> bool:
        """Whether the file of that number is known to differ between the two commits."""
        found = self.repository
        if found is None or found.default is None or found.commit is None:
            return False
        key = f"file{number}"
        return found.default.get(key) != found.commit.get(key)
