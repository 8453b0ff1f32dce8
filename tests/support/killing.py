"""Kills a build of this test process with SIGKILL, as if CodeBuild removed its container."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def build_program() -> int:
    """The process ID of the running build program.

    Only descendants of this process count, because other test processes run builds on the same machine.
    """
    [found] = [pid for pid in _descendants(os.getpid()) if command_line(pid)[1:3] == ["-m", "kiro_worker.runner"]]
    return found


def running_git_command() -> str:
    """The command line of the git that the build program is running; empty if it runs none."""
    with suppress(ValueError):
        for pid in _descendants(build_program()):
            words = command_line(pid)
            if words[:1] == ["git"] and any(word.startswith("--git-dir=") for word in words):
                return " ".join(words)
    return ""


def kill_build() -> None:
    """Kills the build program and the git that it may have started.

    The kernel kills the agent and the tests, which are started so that they die with the program.
    """
    program = build_program()
    os.kill(program, signal.SIGSTOP)  # so that it starts nothing in the meantime
    gits = [pid for pid in _descendants(program) if Path(command_line(pid)[0]).name.startswith("git")]
    for pid in (program, *gits):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def command_line(pid: int) -> list[str]:
    """The command line of a process; ``[""]`` if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return [""]


def _descendants(ancestor: int) -> Iterator[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    for pid in parents:
        parent = pid
        while (parent := parents.get(parent, 0)) not in (0, ancestor):
            pass
        if parent == ancestor:
            yield pid
