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
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36


def adopt() -> bool:
    """Make the runner the parent of its orphaned descendants, and return whether the kernel supports that.

    See ``PR_SET_CHILD_SUBREAPER`` in https://man7.org/linux/man-pages/man2/prctl.2.html.
    """
    if not sys.platform.startswith("linux") or not Path("/proc/self/stat").exists():
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def kill(before: set[int], seconds: float) -> None:
    """Kill every child that is not in ``before``, with its descendants.

    All of them are stopped first: otherwise a process that keeps forking has new children while the others are being
    killed.
    """
    deadline = time.monotonic() + seconds
    while (orphans := children() - before) and time.monotonic() < deadline:
        stopped: set[int] = set()
        while (running := _descendants(orphans) - stopped) and time.monotonic() < deadline:
            _signal_all(running, signal.SIGSTOP)
            stopped |= running
        _signal_all(stopped, signal.SIGKILL)
        for pid in orphans:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


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
            with contextlib.suppress(OSError):
                # "pid (name) state ppid …", where the name itself can contain a parenthesis.
                after_name = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()
                parents[int(entry.name)] = int(after_name[1])
    return parents
