"""The folders and files of the machine that every user may write to, and how they are closed.

A user of the build is in no group and owns nothing outside its folders, so it can write to nothing else. The exceptions
are access control lists that name its ID, and file systems over the network, which are not searched.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.sandbox.printable import printable_name

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_SEARCHED: Final = frozenset(
    (
        *("cifs", "fuse.sshfs", "nfs", "nfs4", "smb3", "9p", "ceph", "lustre"),
        *("proc", "sysfs", "cgroup", "cgroup2", "devpts", "debugfs", "tracefs", "securityfs", "bpf"),
    )
)
"""File systems over the network, whose size is unknown, and those of the kernel."""
_COUNTING: Final = frozenset(("ext2", "ext3", "ext4", "tmpfs", "xfs"))
"""File systems on which a folder has two links if no folder is in it. It then need not be read."""
_OPEN_FOLDER: Final = stat.S_IWOTH | stat.S_IXOTH
_SHARED_FOLDER: Final = _OPEN_FOLDER | stat.S_ISVTX
"""The mode of folders for temporary files, such as ``/tmp``."""
VANISHED: Final = (FileNotFoundError, NotADirectoryError)
"""What another process removed, or replaced by a file, in the meantime."""


@dataclass
class OpenPlaces:
    """``folders`` in which every user can create files, and ``files`` that every user can change.

    ``temporary`` are those of the folders that are in a folder for temporary files; files there are left out.
    """

    folders: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    temporary: set[str] = field(default_factory=set)


def find_open_places(top: Path, workspace: Path, *, with_files: bool) -> OpenPlaces:
    """Return the open places below ``top`` and outside ``workspace`` that other users can reach.

    Without files, which are many, the search takes a fraction of the time.

    Raises :class:`BuildStopped` (WorkerFailed) when a folder cannot be read.
    """
    found = OpenPlaces()
    mounts = list(_mounts())
    skipped = {str(workspace), *(mount.folder for mount in mounts if not mount.is_searched)}
    counting = frozenset() if with_files else frozenset(mount.device for mount in mounts if mount.kind in _COUNTING)
    waiting = [(str(top), False)]
    # This loop visits every folder of the machine, so each call in it counts.
    while waiting:
        folder, is_temporary = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.path in skipped or not (status := _status(entry)):
                            continue
                        if status.st_mode & _OPEN_FOLDER == _OPEN_FOLDER:
                            found.folders.append(entry.path)
                            if is_temporary:
                                found.temporary.add(entry.path)
                        # Other users cannot pass through a folder without this bit.
                        if status.st_mode & stat.S_IXOTH and not (status.st_nlink == 2 and status.st_dev in counting):
                            is_shared = status.st_mode & _SHARED_FOLDER == _SHARED_FOLDER
                            waiting.append((entry.path, is_temporary or is_shared))
                    elif is_temporary or not with_files:
                        continue
                    elif entry.is_file(follow_symlinks=False) and _is_open(entry):
                        found.files.append(entry.path)
        except VANISHED:
            continue
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                # No path leads there. Every user can make such a folder, which must not stop all builds.
                continue
            raise machine_problem(folder, "cannot be searched for what users of the build may leave", error) from None
    return found


def close_open_places(places: OpenPlaces) -> list[str]:
    """Let no other user change the files, or replace other users' files in the folders, and return what was changed.

    What is in a temporary folder is no part of the image, and belongs to whoever put it there.

    Raises :class:`BuildStopped` (WorkerFailed) when that is not possible.
    """
    changed = [path for path in places.files if _set_mode(path, stat.S_IFREG, without=stat.S_IWOTH)]
    lasting = [path for path in places.folders if path not in places.temporary]
    return changed + [path for path in lasting if _set_mode(path, stat.S_IFDIR, with_=stat.S_ISVTX)]


def machine_problem(path: str, problem: str, error: Exception) -> BuildStopped:
    """Return the stop for a file or folder of the machine that keeps the users of the build from being separated."""
    cause = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
    return BuildStopped(
        Outcome.WORKER_FAILED,
        f"{printable_name(path)} {problem}: {cause}",
        "make root able to do that, or remove or unmount it in the build's image",
        owner=FaultOwner.INSTALLATION,
    )


def _is_open(file: os.DirEntry[str]) -> bool:
    status = _status(file)
    return status is not None and bool(status.st_mode & stat.S_IWOTH)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return the status of an entry, ``None`` if it has vanished."""
    try:
        return entry.stat(follow_symlinks=False)
    except VANISHED:
        return None


def _set_mode(path: str, kind: int, *, with_: int = 0, without: int = 0) -> bool:
    """Change the mode of a file or folder, and return whether that was necessary.

    The path is opened first, because its owner may have replaced it by a link.
    """
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    except VANISHED:
        return False
    try:
        before = os.fstat(descriptor).st_mode
        mode = stat.S_IMODE(before) & ~without | with_
        if stat.S_IFMT(before) != kind or mode == stat.S_IMODE(before):
            return False
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
            raise OSError(errno.ENOTSUP, "its file system has no modes")
    except OSError as error:
        if error.errno != errno.EROFS:
            raise machine_problem(path, "is open to every user and cannot be closed", error) from None
        return False
    finally:
        os.close(descriptor)
    return True


@dataclass(frozen=True)
class _Mount:
    """Where a file system of the given kind is mounted."""

    folder: str
    device: int
    kind: str
    is_searched: bool


def _mounts() -> Iterator[_Mount]:
    """Yield what is mounted: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html"""
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        mount, _, file_system = line.partition(" - ")
        kind, _, options = file_system.partition(" ")
        # Only the user who mounted it can reach a FUSE file system without this option, not even root.
        is_private = kind.startswith("fuse") and "allow_other" not in options
        fields = mount.split(" ")
        device = os.makedev(*map(int, fields[2].split(":")))
        yield _Mount(_unescaped(fields[4]), device, kind, kind not in _NOT_SEARCHED and not is_private)


def _unescaped(path: str) -> str:
    """Return a path in which the kernel wrote spaces, tabs, line ends and backslashes as octal numbers."""
    for character in " \t\n\\":
        path = path.replace(f"\\{ord(character):03o}", character)
    return path
