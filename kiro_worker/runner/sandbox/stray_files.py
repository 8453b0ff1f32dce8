"""Removes what a user of the build left outside its folders: files where everybody may write, and shared memory.

None of it may reach the next user. A file counts as left if the user owns it, so each user needs its own ID.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import stat
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.sandbox.printable import printable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NOT_SEARCHED: Final = frozenset(
    (
        *("cifs", "fuse.sshfs", "nfs", "nfs4", "smb3", "9p", "ceph", "lustre"),
        *("proc", "sysfs", "cgroup", "cgroup2", "devpts", "debugfs", "tracefs", "securityfs", "bpf"),
    )
)
"""File systems over the network, whose size is unknown, and those of the kernel."""
_OPEN_TO_ALL: Final = stat.S_IWOTH | stat.S_IXOTH
_MAX_NAMED: Final = 10
_IPC_RMID: Final = 0
_SHARED: Final = (("shm", "shmid"), ("sem", "semid"), ("msg", "msqid"))
"""The files in ``/proc/sysvipc`` and their column with the identifier: https://man7.org/linux/man-pages/man5/proc_sysvipc.5.html"""


class StrayFiles:
    """Finds the folders outside ``workspace`` in which any user can create files, and cleans them.

    The search begins at once, in the background, because it visits every folder of the machine.
    """

    def __init__(self, workspace: Path, say: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._say = say
        self._folders: list[str] = []
        self._search = Thread(target=self._find, daemon=True)
        self._search.start()

    def remove(self, uid: int) -> None:
        """Remove what the user ``uid`` left, and log it. Its processes must have ended."""
        self._search.join()
        removed = [path for folder in self._folders for path in _owned_by(uid, folder) if _remove(path)]
        if removed:
            names = ", ".join(printable_name(str(path)) for path in removed[:_MAX_NAMED])
            more = f" and {len(removed) - _MAX_NAMED} more" if len(removed) > _MAX_NAMED else ""
            self._say(f"removed what was left outside the build's folders: {names}{more}")
        _remove_shared_memory(uid)

    def _find(self) -> None:
        self._folders += _folders_open_to_all(self._workspace)


def _folders_open_to_all(workspace: Path) -> Iterator[str]:
    """Yield every folder, outside ``workspace``, in which any user can create files.

    A folder that other users cannot pass through is skipped with everything in it. What is in a shared folder, such as
    ``/tmp``, belongs to other users; only folders in it that are open to all are of interest.
    """
    skipped = {str(workspace), *_mounts_not_searched()}
    waiting = [("/", False)]
    while waiting:
        folder, is_shared = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.path in skipped or not entry.is_dir(follow_symlinks=False):
                        continue
                    mode = entry.stat(follow_symlinks=False).st_mode
                    is_open = mode & _OPEN_TO_ALL == _OPEN_TO_ALL
                    if is_open:
                        yield entry.path
                    if mode & stat.S_IXOTH and (is_open or not is_shared):
                        waiting.append((entry.path, is_shared or bool(mode & stat.S_ISVTX)))


def _mounts_not_searched() -> Iterator[str]:
    """Yield mount points: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html"""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
            mount, _, kind = line.partition(" - ")
            if kind.split(" ")[0] in _NOT_SEARCHED:
                yield mount.split(" ")[4]


def _owned_by(uid: int, folder: str) -> list[Path]:
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid == uid:
                    found.append(Path(entry.path))
    return found


def _remove(path: Path) -> bool:
    """Remove a file, or a folder with its content, without following links. Returns whether it existed."""
    try:
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return False
    return True


def _remove_shared_memory(uid: int) -> None:
    """Remove the user's System V shared memory, semaphores and message queues, which outlive their processes."""
    for kind, identifier in _SHARED:
        with contextlib.suppress(OSError):
            names, *rows = Path("/proc/sysvipc", kind).read_text().splitlines()
            for row in rows:
                columns = dict(zip(names.split(), row.split(), strict=False))
                if columns.get("uid") == str(uid):
                    control = getattr(ctypes.CDLL(None), f"{kind}ctl")
                    number = int(columns[identifier])
                    control(number, 0, _IPC_RMID) if kind == "sem" else control(number, _IPC_RMID, 0)
