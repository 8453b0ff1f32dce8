"""What a child leaves running: orphans become our children, are seen, and are killed with all that comes from them.

The kernel hands them to us where it can (Linux); elsewhere only a child's own group is ended.
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
    """Have the kernel hand us the orphans among our descendants (``PR_SET_CHILD_SUBREAPER``); whether it does."""
    if not sys.platform.startswith("linux") or not Path("/proc/self/stat").exists():
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def kill(before: set[int], seconds: float) -> None:
    """Kill what became our child since ``before``, and all that comes from it. It is stopped first, for of processes
    that fork, some are always born while others are being killed.
    """
    until = time.monotonic() + seconds
    while (orphans := children() - before) and time.monotonic() < until:
        family: set[int] = set()
        while (born := _descendants(orphans) - family) and time.monotonic() < until:
            _signal_all(born, signal.SIGSTOP)
            family |= born
        _signal_all(family, signal.SIGKILL)
        for pid in orphans:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _signal_all(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def children() -> set[int]:
    """The processes whose parent we are."""
    if not _has_children():
        return set()
    own = os.getpid()
    return {pid for pid, parent in _parents().items() if parent == own}


def _has_children() -> bool:
    """One question to the kernel, and mostly the answer is no: reading all of /proc costs as much as a git command."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _descendants(roots: set[int]) -> set[int]:
    """``roots``, their children, and so on."""
    parents = _parents()
    found, size = set(roots), 0
    while len(found) > size:
        size = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found


def _parents() -> dict[int, int]:
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                # "pid (name) state ppid …", and the name may itself contain a parenthesis.
                after_name = Path(entry.path, "stat").read_text(errors="replace").rpartition(")")[2].split()
                found[int(entry.name)] = int(after_name[1])
    return found
