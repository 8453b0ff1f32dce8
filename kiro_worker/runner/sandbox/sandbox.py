"""The users that the agent and the tests run as, which can work in their folders and do nothing else.

When the runner is root, as in CodeBuild, each is an ID without an account, reserved for the build, so all of its
processes can be counted, limited and ended without touching those of another build. When the runner is not root,
everything else still holds, but the user is the runner's own.

The child itself changes the user and sets the limits: :mod:`kiro_worker.runner.sandbox.entry` explains why.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped, ConfigurationInvalid
from kiro_worker.runner.sandbox import entry as sandbox_entry
from kiro_worker.runner.sandbox.accounts import account, account_name
from kiro_worker.runner.sandbox.agent_user import ReservedUid, end_processes, thread_count
from kiro_worker.runner.sandbox.toolchains import grant_traversal, unreachable_toolchains
from kiro_worker.runner.sandbox.untrusted_files import chown_tree, make_harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

AGENT_USER_VARIABLE: Final = "AGENT_USER"
"""``own`` always uses a separate user, and makes the image's runtimes reachable if it has to. ``reachable``, the
default, uses a separate user only where other users can reach those runtimes already."""

_PR_SET_DUMPABLE: Final = 4


def _default_memory() -> int:
    """Return three quarters of the memory of this machine or container."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(Path(file).read_text()))
    return min(limits) * 3 // 4


@dataclass(frozen=True)
class Limits:
    """The resource limits of the sandbox.

    ``processes`` counts all processes and threads of the user. ``memory_bytes`` limits the data of one process
    (RLIMIT_DATA), not its address space (RLIMIT_AS), because Node, Java and Go reserve many times what they use.
    """

    processes: int = 4096
    memory_bytes: int = field(default_factory=_default_memory)
    file_bytes: int = 4 * 1024**3
    open_files: int = 16_384


@dataclass(frozen=True)
class Sandbox:
    """Starts programs as the user ``uid`` and manages its files. ``None`` means the runner's own user.

    ``uncommitted`` are paths in the user's checkout, beside those that are never committed anyway, that no commit will
    contain: symbolic links there may lead out of the checkout. ``closes_machine`` says whether files of the machine may
    be closed to the user, because the machine is discarded after the build. ``home`` is the user's home folder.
    """

    uid: int | None = None
    limits: Limits = field(default_factory=Limits)
    say: Callable[[str], None] = field(default=lambda _text: None, repr=False)
    uncommitted: frozenset[str] = frozenset()
    closes_machine: bool = False
    home: Path | None = None

    @property
    def identity(self) -> dict[str, str]:
        """The variables that say which user a program runs as."""
        name = account_name(self.uid)
        return {"USER": name, "LOGNAME": name} if name else {}

    def command(self, argv: Sequence[str], report: int) -> list[str]:
        """Return the command that starts ``argv`` in the sandbox.

        It writes to the descriptor ``report`` only if the start fails.
        """
        settings = {"report": report, "runner": os.getpid(), **self._resource_limits()}
        if self.uid is not None:
            settings["uid"] = self.uid
        words = (f"{name}={value}" for name, value in settings.items())
        return [sys.executable, "-I", "-S", sandbox_entry.__file__, *words, "--", *argv]

    def grant(self, folder: Path, *private: Path) -> None:
        """Give the user ``folder`` to work in, and ``private`` folders, such as its home, that no other user may enter.

        Missing folders are created, and what the runner has put into them since the last time becomes the user's.
        """
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for closed in private:
            closed.mkdir(mode=0o700, parents=True, exist_ok=True)
            closed.chmod(0o700)
        if self.uid is not None:
            for granted in (folder, *private):
                chown_tree(granted, self.uid, self.say)

    def reclaim(self, folder: Path, *private: Path) -> None:
        """End the user's processes and make its files safe to read. The runner calls this before it reads them."""
        self.end()
        owner = os.geteuid() if self.uid is None else self.uid
        make_harmless(folder, owner, self.say, self.uncommitted)
        for closed in private:
            # Nothing in them is committed, or read through a link, and package managers link to the machine's programs.
            make_harmless(closed, owner, self.say, (".",))

    def end(self) -> None:
        """End every process of the user, if the user is not the runner's own.

        Raises :class:`BuildStopped` (WorkerFailed) when one cannot be ended.
        """
        if self.uid is not None:
            end_processes(self.uid)

    def _resource_limits(self) -> dict[str, int]:
        # The kernel counts processes per user, and the runner's own user has some already.
        others = 0 if self.uid is not None else thread_count(os.getuid())
        return {
            "RLIMIT_CORE": 0,
            "RLIMIT_NPROC": self.limits.processes + others,
            "RLIMIT_DATA": self.limits.memory_bytes,
            "RLIMIT_FSIZE": self.limits.file_bytes,
            "RLIMIT_NOFILE": self.limits.open_files,
        }


@contextlib.contextmanager
def sandbox(environment: Mapping[str, str], workspace: Path, say: Callable[[str], None]) -> Iterator[Sandbox]:
    """Yield the agent's sandbox of a build that works in ``workspace``, and log when its user is the runner's own.

    Raises :class:`ConfigurationInvalid` for an unknown value of ``AGENT_USER``.
    """
    hide_from_own_user()
    choice = environment.get(AGENT_USER_VARIABLE, "") or "reachable"
    if choice not in ("own", "reachable"):
        raise ConfigurationInvalid(
            f"{AGENT_USER_VARIABLE} is {choice[:50]!a}, which is not a valid value",
            f"set {AGENT_USER_VARIABLE} to own or reachable",
        )
    unreachable = unreachable_toolchains(environment)
    reason = ""
    if os.geteuid() != 0:
        reason = "the runner is not root"
    elif unreachable and choice == "reachable":
        reason = f"only root can reach {unreachable[0]}, and {AGENT_USER_VARIABLE} is not own"
    if reason:
        say(f"{reason}: agent and tests run as the runner's own user, and can do what that user can")
        yield Sandbox(None, Limits(), say)
        return
    grant_traversal(unreachable, say)
    _close_worker_folders(workspace, environment)
    home = workspace / "home"
    with ReservedUid() as uid, _ended(Sandbox(uid, Limits(), say, closes_machine=choice == "own", home=home)) as box:
        yield box


@contextlib.contextmanager
def another_user(box: Sandbox) -> Iterator[Sandbox]:
    """Yield a sandbox like ``box`` of another user, or ``box`` itself if its user is the runner's own."""
    if box.uid is None:
        yield box
        return
    with ReservedUid() as uid, _ended(replace(box, uid=uid)) as other:
        yield other


@contextlib.contextmanager
def _ended(box: Sandbox) -> Iterator[Sandbox]:
    """Yield ``box``, whose user has a name meanwhile, and let no process of the user exist before and after."""
    box.end()
    named = account(box.uid, box.home, box.say) if box.uid is not None and box.home else contextlib.nullcontext()
    try:
        with named:
            yield box
    finally:
        # No other user of the build starts after this, and the next build with this ID ends its processes first.
        try:
            box.end()
        except BuildStopped as stop:
            box.say(str(stop))


def hide_from_own_user() -> None:
    """Keep other processes of the runner's user from reading its memory and environment in ``/proc``."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _close_worker_folders(workspace: Path, environment: Mapping[str, str]) -> None:
    """Close the build's source, which holds the result, and everything in the workspace to other users.

    They can still pass through the workspace to folders that are granted to them later.
    """
    source = environment.get("CODEBUILD_SRC_DIR")
    if source and Path(source).is_dir():
        Path(source).chmod(0o700)
    workspace.chmod(0o711)
    for folder in workspace.iterdir():
        folder.chmod(0o700)
