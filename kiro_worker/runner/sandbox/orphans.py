"""Processes that a child leaves running. They become the runner's children, so the runner can find and kill them all.

The kernel hands orphans to the runner where it can (Linux); elsewhere only a child's own process group is ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.sandbox.printable import listed, printable_name

if TYPE_CHECKING:
    from collections.abc import Collection

KILL_SECONDS: Final = 60.0
"""How long killed processes have to end. Even thousands that compete for the processor end in a fraction of that."""

_PR_SET_CHILD_SUBREAPER: Final = 36
_REAP_SECONDS: Final = 0.005


def adopt() -> bool:
    """Make the runner the parent of its orphaned descendants, and return whether the kernel supports that.

    See ``PR_SET_CHILD_SUBREAPER`` in https://man7.org/linux/man-pages/man2/prctl.2.html.
    """
    if not sys.platform.startswith("linux") or not Path("/proc/self/stat").exists():
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def kill(before: set[int], timeout_seconds: float = KILL_SECONDS) -> None:
    """Kill every child that is not in ``before``, with its descendants, and return when none is left.

    All of them are stopped first: otherwise a process that keeps forking has new children while the others are being
    killed. Raises :class:`BuildStopped` (WorkerFailed) when one still exists after ``timeout_seconds``.
    """
    deadline = time.monotonic() + timeout_seconds
    # A process that forks and ends all the time may be missing from a list, but not from the kernel's own answer.
    while (orphans := children() - before) or (not before and _has_children()):
        if time.monotonic() > deadline:
            unseen = "the kernel reports a child process that /proc does not show"
            raise not_ended(orphans, timeout_seconds, unseen)
        stopped: set[int] = set()
        while (running := _descendants(orphans) - stopped) and time.monotonic() < deadline:
            _signal_all(running, signal.SIGSTOP)
            stopped |= running
        _signal_all(stopped, signal.SIGKILL)
        _reap(orphans)


def not_ended(processes: Collection[int], seconds: float, unseen: str) -> BuildStopped:
    """Return the stop for ``processes`` that were killed and still exist after ``seconds``.

    ``unseen`` is the reason to report if ``processes`` is empty, because not even their list is known.
    """
    named = listed(sorted(processes), lambda process: f"{process} ({_name(process)})") or unseen
    return BuildStopped(
        Outcome.WORKER_FAILED,
        f"processes that the agent, setup or the tests left running could not be ended within {seconds:g} seconds:"
        f" {named}. Nothing else was run beside them",
        "redrive the execution, whose build gets another machine; on your own machine, end them or restart it",
    )


def _name(process: int) -> str:
    try:
        return printable_name(Path(f"/proc/{process}/comm").read_text(errors="surrogateescape").strip())
    except OSError:
        return "ended since"


def _reap(processes: Collection[int]) -> None:
    """Take note of the end of killed children. The kernel may need a moment for it."""
    waiting = False
    for process in processes:
        with contextlib.suppress(ChildProcessError):
            waiting |= os.waitpid(process, os.WNOHANG) == (0, 0)
    if waiting:
        time.sleep(_REAP_SECONDS)


def _signal_all(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def children() -> set[int]:
    """Return the runner's child processes."""
    if not _has_children():
        return set()
    runner = os.getpid()
    return {pid for pid, parent in _parents().items() if parent == runner}


def _has_children() -> bool:
    """Return whether the runner has a child process.

    Usually it has none. Asking the kernel is cheap, whereas reading all of ``/proc`` costs as much as a git command.
    """
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _descendants(roots: set[int]) -> set[int]:
    """Return ``roots`` with their children, grandchildren and so on."""
    parents = _parents()
    found, size = set(roots), 0
    while len(found) > size:
        size = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found


def _parents() -> dict[int, int]:
    parents = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            # Some systems hide the processes of other users, which are not the children of this one.
            with contextlib.suppress(FileNotFoundError, PermissionError, ProcessLookupError):
                # "pid (name) state ppid …", where the name itself can contain a parenthesis.
                after_name = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()
                parents[int(entry.name)] = int(after_name[1])
    return parents
