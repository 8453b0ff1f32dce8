"""What setup created, kept where neither the agent nor the tests can change it, and copied for each of them."""

from __future__ import annotations

import filecmp
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.sandbox.tree_copy import TreeCopy
from kiro_worker.runner.sandbox.untrusted_files import remove_tree

if TYPE_CHECKING:
    from collections.abc import Collection

    from kiro_worker.runner.sandbox.folders import Folders

_BYTECODE: Final = "__pycache__"
DEPENDENCY_FOLDERS: Final = (
    *(
        ".bun",
        ".bundle",
        ".cache",
        ".cargo",
        ".composer",
        ".gem",
        ".gradle",
        ".ivy2",
        ".local/bin",
        ".local/lib",
        ".m2",
    ),
    *(".npm", ".nuget", ".pnpm-store", ".pub-cache", ".rustup", ".sbt", ".yarn", "go"),
)
"""The folders of setup's home that the agent gets. It gets no other, because agents read their settings there: the
branch's own install scripts could steer the agent with files that the guard does not see."""


@dataclass(frozen=True)
class Snapshot:
    """The result of setup on ``commit``, in ``folder``: ``checkout`` and ``home``.

    ``created`` are the paths in the checkout that setup created and that no commit contains: files, and folders with
    all that is in them.
    """

    commit: str
    folder: Path
    created: tuple[str, ...]

    @classmethod
    def take(cls, folders: Folders, commit: str, committed: Collection[str]) -> Snapshot:
        """Move ``folders`` to a closed folder, and keep what is not ``committed``: files, links and submodules.

        The user's processes must have ended.
        """
        folder = folders.closed_folder("setup")
        folders.move_to(folder)
        if (folder / folders.temporary.name).is_dir():
            remove_tree(folder / folders.temporary.name)
        created = _remove_committed(folder / folders.checkout.name, frozenset(committed))
        found = (path for top in created for path in _parts_with_files(folder / folders.checkout.name, top))
        return cls(commit, folder, tuple(sorted(found)))

    def restore(self, folders: Folders, owner: int | None) -> None:
        """Copy everything for the gate. What is in ``folders`` already, the files of a commit, stays as it is."""
        copy = TreeCopy(owner)
        copy.copy(self.folder / folders.checkout.name, folders.checkout)
        copy.copy(self.folder / folders.home.name, folders.home)

    def lend(self, folders: Folders, owner: int | None) -> None:
        """Copy what the agent may have."""
        copy = TreeCopy(owner)
        copy.copy(self.folder / folders.checkout.name, folders.checkout)
        for name in DEPENDENCY_FOLDERS:
            source = self.folder / folders.home.name / name
            # Setup could have made any part of the path a link.
            if source.is_dir() and source.resolve() == (self.folder / folders.home.name).resolve() / name:
                copy.copy(source, folders.home / name)

    def has_unchanged(self, folders: Folders, path: str) -> bool:
        """Return whether setup created the file or link at ``path`` in the checkout, and it is still the same."""
        original, current = self.folder / folders.checkout.name / path, folders.checkout / path
        try:
            before, now = original.lstat(), current.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        if stat.S_IFMT(before.st_mode) != stat.S_IFMT(now.st_mode):
            return False
        # Setup could have made any part of the path a link, to anywhere.
        if original.parent.resolve() != (self.folder / folders.checkout.name).resolve() / PurePosixPath(path).parent:
            return False
        if stat.S_ISLNK(now.st_mode):
            return original.readlink() == current.readlink()
        # Copies keep the modification time, so most files need not be read.
        return not (before.st_mode ^ now.st_mode) & stat.S_IXUSR and filecmp.cmp(original, current)

    @property
    def ignore_patterns(self) -> str:
        """``created`` as lines of git's ``info/exclude``: setup's unchanged files are not the agent's work."""
        return "".join(f"/{_pattern(path)}\n" for path in self.created)


def _remove_committed(checkout: Path, committed: frozenset[str]) -> list[str]:
    """Remove from ``checkout`` what the commit contains, and return the paths of the rest, topmost folders only.

    Bytecode beside committed sources is removed, too: it could outlive a change to its source.
    """
    folders = {str(parent) for path in committed for parent in PurePosixPath(path).parents} | {"."}
    created = []
    waiting = ["."]
    while waiting:
        here = waiting.pop()
        with os.scandir(checkout / here) as entries:
            for entry in entries:
                path = entry.name if here == "." else f"{here}/{entry.name}"
                is_folder = entry.is_dir(follow_symlinks=False)
                if path in folders and is_folder:
                    _open(Path(entry.path))
                    waiting.append(path)
                elif path == ".git" or path in folders or path in committed or entry.name == _BYTECODE:
                    _remove(Path(entry.path), is_folder=is_folder)
                else:
                    created.append(path)
    for folder in sorted(folders - {"."}, reverse=True):
        # Deepest first. A folder that only the commit needs must not survive the removal of its files.
        _remove_if_empty(checkout / folder)
    return created


def _parts_with_files(checkout: Path, top: str) -> list[str]:
    """Return ``top``, or, while a folder holds nothing but folders, the folders in it.

    Otherwise a setup that creates ``src/shop.egg-info`` would keep the agent's new files in ``src`` out of its commits.
    """
    found, waiting = [], [top]
    while waiting:
        path = waiting.pop()
        inside: list[os.DirEntry[str]] = []
        if stat.S_ISDIR((checkout / path).lstat().st_mode):
            _open(checkout / path)
            with os.scandir(checkout / path) as entries:
                inside = list(entries)
            if all(entry.is_dir(follow_symlinks=False) for entry in inside):
                waiting += [f"{path}/{entry.name}" for entry in inside]
                continue
        found.append(path)
    return found


def _remove(path: Path, *, is_folder: bool) -> None:
    if is_folder:
        _open(path)
        remove_tree(path)
    else:
        path.unlink()


def _remove_if_empty(folder: Path) -> None:
    try:
        if not folder.is_symlink():
            folder.rmdir()
    except OSError:
        return


def _open(folder: Path) -> None:
    """Let the owner enter and change a folder. Root always can."""
    mode = folder.lstat().st_mode
    if mode & 0o700 != 0o700:
        folder.chmod(stat.S_IMODE(mode) | 0o700)


def _pattern(path: str) -> str:
    """Return ``path`` as a pattern that matches only it. No pattern can contain a line end, so ``?`` stands for it."""
    escaped = re.sub(r"([\\*?\[])", r"\\\1", path)
    escaped = re.sub(r"[\r\n]", "?", escaped)
    return f"{escaped[:-1]}\\ " if escaped.endswith(" ") else escaped
