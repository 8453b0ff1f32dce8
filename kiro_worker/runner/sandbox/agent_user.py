"""A user ID that belongs to one build: how it is reserved, and the processes that run under it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import ConfigurationInvalid
from kiro_worker.runner.sandbox.orphans import KILL_SECONDS, not_ended
from kiro_worker.runner.sandbox.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_UID: Final = 60_706
LAST_UID: Final = 61_182
_KILLER_UID: Final = 61_183
"""No distribution assigns the IDs from the first to the last of these: https://systemd.io/UIDS-GIDS"""

# The real and the saved user are the killer's own: with them, it could itself be killed by a process that it has to
# end. The effective user is enough to kill, and a process that is not root has no other rights.
_KILL_ALL: Final = (
    "import os, signal, sys; uid, own = map(int, sys.argv[1:]); os.setgroups([]); os.setresgid(uid, uid, uid);"
    " os.setresuid(own, uid, own)\ntry: os.kill(-1, signal.SIGKILL)\nexcept ProcessLookupError: pass"
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
    """Return the processes of ``uid`` that have not ended.

    Raises :class:`OSError` when the system does not show a process that exists.
    """
    return set(_running(uid))


def end_processes(uid: int, timeout_seconds: float = KILL_SECONDS) -> None:
    """Kill every process of ``uid``, and return when none is left.

    A single signal reaches all of them at once, so none can escape by forking. Raises :class:`BuildStopped`
    (WorkerFailed) when one still exists after ``timeout_seconds``.
    """
    deadline = time.monotonic() + timeout_seconds
    kill_all = [sys.executable, "-I", "-S", "-c", _KILL_ALL, str(uid), str(_KILLER_UID)]
    # Kill first and look later: a process that forks and ends all the time may be missing from every list.
    while _failure(kill_all) or next(_running(uid), None):
        if time.monotonic() > deadline:
            failure = _failure(kill_all) or "they begin and end faster than /proc can be read"
            raise not_ended(
                running(uid), timeout_seconds, f"the processes of user {uid} cannot be listed, and {failure}"
            )
        _reap(uid)
    _reap(uid)


def _failure(kill_all: list[str]) -> str:
    """Run the program that kills a user's processes. Return why it failed, empty if it did not."""
    done = subprocess.run(kill_all, check=False, env={}, capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return ""
    said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
    return f"the program that kills them failed: {printable(said[0])}"


def _reap(uid: int) -> None:
    """Take note of the end of processes that became our children: see :mod:`kiro_worker.runner.sandbox.orphans`."""
    for process, _ in _statuses(uid):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)


def thread_count(uid: int) -> int:
    """Return how many threads ``uid`` runs; 0 where the system has no ``/proc``."""
    if not Path("/proc/self/status").exists():
        return 0
    return sum(int(status["Threads"]) for _, status in _statuses(uid))


def _running(uid: int) -> Iterator[int]:
    for process, status in _statuses(uid):
        # A process whose first thread has ended is a zombie, although its other threads continue.
        if not status["State"].startswith("Z") or int(status["Threads"]) > 1:
            yield process


def _statuses(uid: int) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the processes whose real user is ``uid``, with the fields of ``/proc/<process>/status``."""
    user = b"\nUid:\t%d\t" % uid
    with os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdecimal():
                continue
            try:
                status = Path(entry.path, "status").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            except PermissionError:
                # Some systems hide other users' processes. Only root has others to end.
                if os.geteuid() == 0:
                    raise
                continue
            if user in status:
                lines = (line.partition(":") for line in status.decode(errors="replace").split("\n"))
                yield int(entry.name), {name: value.strip() for name, _, value in lines}
