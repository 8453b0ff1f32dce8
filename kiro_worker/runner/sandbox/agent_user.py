"""A user ID that belongs to one build: how it is reserved, and the processes that run under it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from kiro_worker.errors import ConfigurationInvalid

FIRST_UID: Final = 60_706
LAST_UID: Final = 61_183
"""No distribution assigns the IDs in this range: https://systemd.io/UIDS-GIDS"""

_KILL_TIMEOUT_SECONDS: Final = 10.0
_KILL_ALL: Final = (
    "import os, signal, sys; uid = int(sys.argv[1]); os.setgroups([]); os.setresgid(uid, uid, uid);"
    " os.setresuid(uid, uid, uid); os.kill(-1, signal.SIGKILL)"
)


class ReservedUid:
    """Reserves a free user ID for as long as this process lives.

    The reservation is a name in the kernel's list of abstract sockets, so it leaves no file behind.
    """

    def __enter__(self) -> int:
        self._socket = socket.socket(socket.AF_UNIX)
        for uid in range(FIRST_UID, LAST_UID + 1):
            with contextlib.suppress(OSError):
                self._socket.bind(f"\0kiro-worker-user-{uid}")
                return uid
        self._socket.close()
        raise ConfigurationInvalid(
            f"other builds on this machine use every user ID from {FIRST_UID} to {LAST_UID}",
            "stop other builds on this machine",
        )

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def running(uid: int) -> set[int]:
    """Return the processes of ``uid`` that have not ended."""
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            status = _status(entry.path)
            if status.get("Uid", "").split()[:1] == [str(uid)] and not status["State"].startswith("Z"):
                found.add(int(entry.name))
    return found


def end_processes(uid: int) -> None:
    """Kill every process of ``uid``. A single signal reaches all of them at once, so none can escape by forking."""
    deadline = time.monotonic() + _KILL_TIMEOUT_SECONDS
    while (remaining := running(uid)) and time.monotonic() < deadline:
        subprocess.run([sys.executable, "-I", "-S", "-c", _KILL_ALL, str(uid)], check=False, env={})
        for process in remaining:
            # Processes whose parent has ended became our children: see kiro_worker.runner.sandbox.orphans.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process, os.WNOHANG)


def thread_count(uid: int) -> int:
    """Return how many threads ``uid`` runs; 0 where the system has no ``/proc``."""
    if not Path("/proc/self/status").exists():
        return 0
    uid_line = b"\nUid:\t%d\t" % uid
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                status = Path(entry.path, "status").read_bytes()
                if uid_line in status:
                    count += int(status.partition(b"\nThreads:")[2].split(maxsplit=1)[0])
    return count


def _status(process: str) -> dict[str, str]:
    try:
        lines = Path(process, "status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
