"""SIGKILL for a build of this test's own, as when its container is taken away."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def build_program() -> int:
    """The process that is the build program. Of this test's own descendants, for others build on this machine, too."""
    [found] = [pid for pid in _below(os.getpid()) if words(pid)[1:3] == ["-m", "kiro_worker.runner"]]
    return found


def git_at_work() -> str:
    """The command line of the git that the build program runs at this moment; empty when there is none."""
    with suppress(ValueError):
        for pid in _below(build_program()):
            if words(pid)[:1] == ["git"] and any(word.startswith("--git-dir=") for word in words(pid)):
                return " ".join(words(pid))
    return ""


def kill_the_build() -> None:
    """The program itself, and the git that it may have begun: neither does another thing. The agent and the tests are
    left to the kernel, which has been told that they die with the program.
    """
    program = build_program()
    os.kill(program, signal.SIGSTOP)  # so that it begins nothing while we look
    gits = [pid for pid in _below(program) if Path(words(pid)[0]).name.startswith("git")]
    for pid in (program, *gits):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def words(pid: int) -> list[str]:
    """Its command line; ``[""]`` when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return [""]


def _below(ancestor: int) -> Iterator[int]:
    """Its descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    for pid in parents:
        at = pid
        while (at := parents.get(at, 0)) not in (0, ancestor):
            pass
        if at == ancestor:
            yield pid
