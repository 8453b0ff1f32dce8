"""Keeps files and shared memory that a user of the build leaves outside its folders from the next user.

A file counts as left if the user owns it, so each user needs its own ID.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.sandbox.open_places import (
    VANISHED,
    OpenPlaces,
    close_open_places,
    find_open_places,
    machine_problem,
)
from kiro_worker.runner.sandbox.printable import listed, printable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_IPC_RMID: Final = 0
_SHARED: Final = (("shm", "shmid"), ("sem", "semid"), ("msg", "msqid"))
"""The files in ``/proc/sysvipc`` and their column with the identifier: https://man7.org/linux/man-pages/man5/proc_sysvipc.5.html"""


class StrayFiles:
    """Finds the places outside ``workspace``, below ``top``, where every user may write, and keeps them clean.

    With ``closes``, no user of the build can change what is there, and the machine stays like that. Without it, only
    what a user adds is removed. The search begins at once, in the background, because it visits every folder of the
    machine (with ``closes``, every file). Methods raise :class:`BuildStopped` (WorkerFailed) when something cannot be
    searched, closed or removed.
    """

    def __init__(
        self, workspace: Path, say: Callable[[str], None], *, closes: bool = False, top: Path = Path("/")
    ) -> None:
        self._workspace = workspace
        self._say = say
        self._closes = closes
        self._top = top
        self._search: Future[OpenPlaces] = Future()
        Thread(target=self._find, daemon=True).start()

    def prepare(self, *uids: int) -> None:
        """Close the places, and remove what earlier builds left there under the IDs that this build uses.

        Call it before the first program of a user starts.
        """
        for uid in uids:
            self.remove(uid)

    def remove(self, uid: int) -> None:
        """Remove what the user ``uid`` left, and log it. Its processes must have ended."""
        removed = [path for folder in self._folders for path in _owned_by(uid, folder) if _remove(path)]
        if removed:
            self._say(f"removed what was left outside the build's folders: {listed(removed, printable_name)}")
        _remove_shared_memory(uid)

    @cached_property
    def _folders(self) -> list[str]:
        places = self._search.result()
        if self._closes and (closed := close_open_places(places)):
            self._say(f"the build's users can no longer change files of the image: {listed(closed, printable_name)}")
        return places.folders

    def _find(self) -> None:
        try:
            self._search.set_result(find_open_places(self._top, self._workspace, with_files=self._closes))
        except BaseException as error:  # noqa: BLE001  # raised where the result is awaited
            self._search.set_exception(error)


def _owned_by(uid: int, folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(*VANISHED):
                    if entry.stat(follow_symlinks=False).st_uid == uid:
                        yield entry.path
    except VANISHED:
        return
    except OSError as error:
        raise machine_problem(folder, "cannot be searched for what a user of the build left", error) from None


def _remove(path: str) -> bool:
    """Remove a file, or a folder with its content, without following links. Returns whether it existed."""
    if not os.path.lexists(path):
        return False
    # Before Python 3.13, shutil.rmtree calls itself for each level, of which the user can have made thousands.
    removed = subprocess.run(["rm", "-rf", "--", path], capture_output=True, text=True, errors="replace", check=False)
    if removed.returncode:
        error = OSError(removed.stderr.strip()[-500:])
        raise machine_problem(path, "was left by a user of the build and cannot be removed", error)
    return True


def _remove_shared_memory(uid: int) -> None:
    """Remove the user's System V shared memory, semaphores and message queues, which outlive their processes."""
    for kind, identifier in _SHARED:
        try:
            names, *rows = Path("/proc/sysvipc", kind).read_text().splitlines()
        except FileNotFoundError:
            # This kernel has none.
            continue
        for row in rows:
            columns = dict(zip(names.split(), row.split(), strict=False))
            if columns.get("uid") == str(uid):
                control = getattr(ctypes.CDLL(None), f"{kind}ctl")
                number = int(columns[identifier])
                control(number, 0, _IPC_RMID) if kind == "sem" else control(number, _IPC_RMID, 0)
