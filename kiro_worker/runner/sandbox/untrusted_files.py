"""A folder that somebody else wrote, read and written by us: nothing in it leads us out of it, holds us up, or gives
away what only we may read.

While its writer runs, no check holds for longer than an instant: end it first
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
    from collections.abc import Callable, Iterator

LARGEST_FILE: Final = 64 * 1024 * 1024
NOT_COMMITTED: Final = ("__pycache__", ".pytest_cache", ".venv", "node_modules")
"""Folders that git is told to leave out, in which links to the machine's own programs are usual."""


def read_file(folder: Path, relative: str, largest: int = LARGEST_FILE) -> bytes | None:
    """At most ``largest`` bytes of a regular file below ``folder``; ``None`` when there is none, also when the way
    there is a symbolic link, or the file a pipe or a second name of a file of others.
    """
    try:
        with _opened(folder, relative, os.O_RDONLY) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
            return file.read(largest)
    except OSError:
        return None


def write_file(folder: Path, relative: str, content: bytes) -> None:
    """Replace what a regular file below ``folder`` holds. Raises :class:`OSError` where :func:`read_file` says None."""
    with _opened(folder, relative, os.O_WRONLY) as descriptor, os.fdopen(os.dup(descriptor), "wb") as file:
        os.ftruncate(descriptor, 0)
        file.write(content)


def remove_file(folder: Path, relative: str) -> None:
    """Remove a file or symbolic link below ``folder``, should there be one. Raises :class:`OSError` for a folder, and
    where the way there is a symbolic link.
    """
    with contextlib.suppress(FileNotFoundError), _parent_opened(folder, relative) as (parent, name):
        os.unlink(name, dir_fd=parent)


def place_file(folder: Path, relative: str, content: bytes) -> None:
    """Write a new file below ``folder``, and folders on the way to it. Raises :class:`OSError` where there is
    something already, or the way there is a symbolic link.
    """
    with _parent_opened(folder, relative, make=True) as (parent, name):
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def empty_folder(folder: Path, relative: str) -> None:
    """An empty folder below ``folder``, in place of whatever is there or in the way to it. Raises
    :class:`PermissionError` for a name that leaves it.
    """
    if ".." in Path(relative).parts or Path(relative).is_absolute():
        raise PermissionError(f"{relative} leaves the folder")
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


def leads_out(folder: Path, link: Path) -> bool:
    """Whether a symbolic link in ``folder`` ends outside of it, or in its ``.git``, whatever lies between."""
    root = os.path.realpath(folder)
    target = os.path.realpath(link)
    inside = target == root or target.startswith(root + os.sep)
    return not inside or ".git" in (part.lower() for part in Path(target[len(root) :]).parts)


def make_harmless(folder: Path, owner: int, say: Callable[[str], None]) -> None:
    """Remove from ``folder`` what a reader of ours must not meet, and name it: pipes, sockets and devices, symbolic
    links that leave the folder, names of files that are not ``owner``'s; take set-uid bits away, and make what its
    owner had closed accessible.
    """
    if folder.is_symlink():
        say(f"{folder.name} had become a symbolic link: removed")
        folder.unlink()
    if not folder.is_dir():
        return
    for path, info, committed in _everything(folder):
        trouble = _trouble(folder, path, info, owner, committed=committed)
        if trouble:
            say(f"{path.relative_to(folder)} {trouble}: removed")
            path.unlink()
        elif stat.S_ISREG(info.st_mode) and info.st_mode & 0o7600 != 0o600:
            path.chmod(info.st_mode & 0o777 | 0o600)


def _trouble(folder: Path, path: Path, info: os.stat_result, owner: int, *, committed: bool) -> str:
    mode = info.st_mode
    if stat.S_ISLNK(mode):
        return "is a symbolic link that leaves the checkout" if committed and leads_out(folder, path) else ""
    if stat.S_ISREG(mode):
        return "is another name of a file of others" if info.st_nlink > 1 and info.st_uid != owner else ""
    return "" if stat.S_ISDIR(mode) else "is a pipe, a socket or a device"


def _everything(folder: Path) -> Iterator[tuple[Path, os.stat_result, bool]]:
    """Everything below ``folder`` without following a link; a folder before what is in it, opened to us."""
    waiting = [(folder, True)]
    while waiting:
        parent, committed = waiting.pop()
        mode = stat.S_IMODE(parent.lstat().st_mode)
        if mode & 0o7700 != 0o700:
            parent.chmod(mode & 0o777 | 0o700)
        with os.scandir(parent) as entries:
            for entry in entries:
                path = Path(entry.path)
                yield path, entry.stat(follow_symlinks=False), committed
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((path, committed and entry.name not in NOT_COMMITTED))


def chown_tree(folder: Path, uid: int, say: Callable[[str], None]) -> None:
    """Make ``uid`` the owner of what in ``folder`` is ours, and of nothing else: a file with a second name may be a
    file of ours that somebody linked to from there.
    """
    own = os.geteuid()
    os.chown(folder, uid, uid, follow_symlinks=False)
    for path, info, _ in _everything(folder):
        if info.st_uid != own:
            continue
        if stat.S_ISREG(info.st_mode) and info.st_nlink > 1:
            say(f"{path.relative_to(folder)} has a second name, and stays the worker's")
            continue
        os.chown(path, uid, uid, follow_symlinks=False)


@contextlib.contextmanager
def _parent_opened(folder: Path, relative: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """A descriptor of the folder that a path below ``folder`` is in, reached step by step without following a link, and
    its name there.
    """
    *parents, name = Path(relative).parts
    if ".." in parents or name == ".." or Path(relative).is_absolute():
        raise PermissionError(f"{relative} leaves the folder")
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


@contextlib.contextmanager
def _opened(folder: Path, relative: str, flags: int) -> Iterator[int]:
    """A descriptor of a regular file that has this one name, reached step by step without following a link."""
    with _parent_opened(folder, relative) as (here, name):
        # Not waiting for the other end of a pipe, should it be one.
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
        with contextlib.ExitStack() as opened:
            opened.callback(os.close, descriptor)
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
                raise PermissionError(f"{relative} is not a regular file of its own")
            yield descriptor
