"""Safe access to a folder that the agent or the tests wrote: no file in it can lead the runner out of the folder, block
it, or reveal what only the runner may read.

A check is worthless while the processes that write to the folder still run, so they have to be ended first
(:meth:`kiro_worker.runner.sandbox.sandbox.Sandbox.end`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

NOT_COMMITTED: Final = ("__pycache__", ".pytest_cache", ".venv", "node_modules")
"""Folders that git ignores. They commonly contain symbolic links to programs on the machine."""


def remove_file(folder: Path, relative: str) -> None:
    """Remove a file or symbolic link below ``folder``, if there is one.

    Raises :class:`OSError` for a folder, and when a parent of the file is a symbolic link.
    """
    with contextlib.suppress(FileNotFoundError), _parent_opened(folder, relative) as (parent, name):
        os.unlink(name, dir_fd=parent)


def place_file(folder: Path, relative: str, content: bytes) -> None:
    """Write a new file below ``folder``, and create its missing parents.

    Raises :class:`OSError` when something is there already, and when a parent is a symbolic link.
    """
    with _parent_opened(folder, relative, make=True) as (parent, name):
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def empty_folder(folder: Path, relative: str) -> None:
    """Create an empty folder below ``folder``, and replace what is there.

    On the path to it, anything that is not a folder is replaced by one. Raises :class:`PermissionError` for a path that
    leads out of ``folder``.
    """
    if ".." in Path(relative).parts or Path(relative).is_absolute():
        raise PermissionError(f"{relative} leads out of the folder")
    with contextlib.ExitStack() as opened:
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        opened.callback(os.close, here)
        *parents, name = Path(relative).parts
        for parent in parents:
            _make_folder(parent, here)
            here = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            opened.callback(os.close, here)
        _make_folder(name, here)
        shutil.rmtree(name, dir_fd=here)
        os.mkdir(name, 0o755, dir_fd=here)


def _make_folder(name: str, parent: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            os.unlink(name, dir_fd=parent)
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=parent)


def remove_tree(folder: Path) -> None:
    """Remove ``folder`` with its content, also where its owner, the runner's own user, closed parts of it."""
    for parent, names, _ in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
                path.chmod(0o700)
    shutil.rmtree(folder)


def leads_out(folder: Path, link: Path) -> bool:
    """Return whether a symbolic link in ``folder`` leads out of it or into its ``.git``, even through other links."""
    root = os.path.realpath(folder)
    target = os.path.realpath(link)
    inside = target == root or target.startswith(root + os.sep)
    return not inside or ".git" in (part.lower() for part in Path(target[len(root) :]).parts)


def make_harmless(
    folder: Path, owner: int, say: Callable[[str], None], uncommitted: Collection[str] = frozenset()
) -> None:
    """Make ``folder`` safe to read.

    Removes, and logs, pipes, sockets, devices, symbolic links that lead out of the folder, and hard links to files that
    are not ``owner``'s. Clears set-uid bits, and opens what the owner had closed. Symbolic links at or below the paths
    ``uncommitted`` may lead anywhere, as in folders that git ignores.
    """
    if folder.is_symlink():
        say(f"{folder.name} had become a symbolic link: removed")
        folder.unlink()
    if not folder.is_dir():
        return
    for path, info, committed in _walk(folder, uncommitted):
        danger = _danger(folder, path, info, owner, committed=committed)
        if danger:
            say(f"{path.relative_to(folder)} {danger}: removed")
            path.unlink()
        elif stat.S_ISREG(info.st_mode) and info.st_mode & 0o7600 != 0o600:
            path.chmod(info.st_mode & 0o777 | 0o600)


def _danger(folder: Path, path: Path, info: os.stat_result, owner: int, *, committed: bool) -> str:
    mode = info.st_mode
    if stat.S_ISLNK(mode):
        return "is a symbolic link that leads out of the folder" if committed and leads_out(folder, path) else ""
    if stat.S_ISREG(mode):
        return "is a hard link to another user's file" if info.st_nlink > 1 and info.st_uid != owner else ""
    return "" if stat.S_ISDIR(mode) else "is a pipe, a socket or a device"


def _walk(folder: Path, uncommitted: Collection[str] = frozenset()) -> Iterator[tuple[Path, os.stat_result, bool]]:
    """Yield everything below ``folder``, and whether git can commit it.

    No link is followed. A folder comes before its content, and is opened to its owner first.
    """
    ignored = {str(folder / path) for path in uncommitted}
    waiting = [(folder, str(folder) not in ignored)]
    while waiting:
        parent, in_commits = waiting.pop()
        mode = stat.S_IMODE(parent.lstat().st_mode)
        if mode & 0o7700 != 0o700:
            parent.chmod(mode & 0o777 | 0o700)
        with os.scandir(parent) as entries:
            for entry in entries:
                path, committed = Path(entry.path), in_commits and entry.path not in ignored
                yield path, entry.stat(follow_symlinks=False), committed
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((path, committed and entry.name not in NOT_COMMITTED))


def chown_tree(folder: Path, uid: int, say: Callable[[str], None]) -> None:
    """Make ``uid`` the owner of everything in ``folder`` that belongs to the runner.

    Files with several hard links are skipped, because such a file can also be one of the runner's own elsewhere.
    """
    runner = os.geteuid()
    os.chown(folder, uid, uid, follow_symlinks=False)
    for path, info, _ in _walk(folder):
        if info.st_uid != runner:
            continue
        if stat.S_ISREG(info.st_mode) and info.st_nlink > 1:
            say(f"{path.relative_to(folder)} has several hard links, so it still belongs to the runner")
            continue
        os.chown(path, uid, uid, follow_symlinks=False)


@contextlib.contextmanager
def _parent_opened(folder: Path, relative: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Yield a descriptor of the parent of a path below ``folder``, and the last part of the path.

    The parent is opened one folder at a time, without following a link.
    """
    *parents, name = Path(relative).parts
    if ".." in parents or name == ".." or Path(relative).is_absolute():
        raise PermissionError(f"{relative} leads out of the folder")
    with contextlib.ExitStack() as opened:
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        opened.callback(os.close, here)
        for parent in parents:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(parent, 0o755, dir_fd=here)
            here = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            opened.callback(os.close, here)
        yield here, name
