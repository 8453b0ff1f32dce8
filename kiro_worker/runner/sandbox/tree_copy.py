"""Copies of folders that another user may change, without any effect on the original."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from pathlib import Path
from typing import Final

_FICLONE: Final = 0x40049409
"""Share the blocks of a file until one copy is written to. Not every file system can.

https://man7.org/linux/man-pages/man2/ioctl_ficlone.2.html"""


class TreeCopy:
    """Copies folders for the user ``owner``, or for the runner's own user if that is ``None``.

    Modes, modification times and symbolic links are kept, and so are hard links between files of all folders that one
    instance copies. Set-uid bits, pipes, sockets and devices are not copied. No link is followed.
    """

    def __init__(self, owner: int | None) -> None:
        self._owner = owner
        self._copies: dict[tuple[int, int], Path] = {}

    def copy(self, source: Path, target: Path) -> None:
        """Copy what is in ``source`` to ``target``. Whatever is in ``target`` already stays as it is."""
        target.mkdir(parents=True, exist_ok=True)
        made: list[tuple[Path, os.stat_result]] = []
        waiting = [(source, target)]
        while waiting:
            here, there = waiting.pop()
            with os.scandir(here) as entries:
                for entry in entries:
                    original, path, info = Path(entry.path), there / entry.name, entry.stat(follow_symlinks=False)
                    if not stat.S_ISDIR(info.st_mode):
                        self._copy_file(original, path, info)
                    elif _enter(path, info, made):
                        _open_to_owner(original, info.st_mode, 0o700)
                        waiting.append((original, path))
        # Last, because every new file changes the modification time of its folder.
        for folder, info in made:
            self._finish(folder, info)

    def _copy_file(self, source: Path, target: Path, info: os.stat_result) -> None:
        if os.path.lexists(target):
            return
        if stat.S_ISLNK(info.st_mode):
            target.symlink_to(source.readlink())
        elif not stat.S_ISREG(info.st_mode):
            return
        elif earlier := self._copies.get((info.st_dev, info.st_ino)):
            target.hardlink_to(earlier)
            return
        else:
            _open_to_owner(source, info.st_mode, 0o400)
            _copy_content(source, target)
            if info.st_nlink > 1:
                self._copies[info.st_dev, info.st_ino] = target
        self._finish(target, info)

    def _finish(self, path: Path, info: os.stat_result) -> None:
        if self._owner is not None:
            os.chown(path, self._owner, self._owner, follow_symlinks=False)
        if not stat.S_ISLNK(info.st_mode):
            path.chmod(info.st_mode & 0o777)
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)


def _enter(folder: Path, info: os.stat_result, made: list[tuple[Path, os.stat_result]]) -> bool:
    """Create ``folder`` unless it exists, and return whether it is a folder now."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return stat.S_ISDIR(folder.lstat().st_mode)
    made.append((folder, info))
    return True


def _open_to_owner(path: Path, mode: int, needed: int) -> None:
    """Let the runner read what its own user closed. Root can read everything."""
    if mode & needed != needed:
        path.chmod(stat.S_IMODE(mode) | needed)


def _copy_content(source: Path, target: Path) -> None:
    with source.open("rb") as reading, target.open("xb") as writing:
        try:
            fcntl.ioctl(writing, _FICLONE, reading.fileno())
        except OSError:
            shutil.copyfileobj(reading, writing, 1 << 20)
