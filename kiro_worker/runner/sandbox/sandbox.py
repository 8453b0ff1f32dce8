"""Who the agent and the tests are on this machine: a user of their own, who may do nothing but work in the checkout.

As root, which the worker is in CodeBuild, that user is a number without an account, taken for the time of this build,
so that all its processes can be counted, limited and ended, and none of another build is. Not as root everything else
holds, but the user is the worker's own.

The change of user, the limits and the rest happen in the child, in :mod:`kiro_worker.runner.sandbox.entry`; the reasons
are there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import ConfigurationInvalid
from kiro_worker.runner.sandbox import entry as sandbox_entry
from kiro_worker.runner.sandbox.processes import TOOLCHAINS
from kiro_worker.runner.sandbox.untrusted_files import chown_tree, make_harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kiro_worker.runner.repository.checkout import Checkout

VARIABLE: Final = "AGENT_USER"
"""``own``: a user of its own whatever it takes, which is to open the way to the image's runtimes. ``reachable``, which
is also the default: one where other users can reach those runtimes as they are."""

FIRST_UID: Final = 60_706
LAST_UID: Final = 61_183
"""Numbers that no distribution gives to anybody (https://systemd.io/UIDS-GIDS)."""

_PR_SET_DUMPABLE: Final = 4
_SECONDS_TO_END: Final = 10.0
_INTERPRETERS: Final = ("python3", "python", "node", "java", "go", "cargo")
_END_ALL: Final = (
    "import os, signal, sys; uid = int(sys.argv[1]); os.setgroups([]); os.setresgid(uid, uid, uid);"
    " os.setresuid(uid, uid, uid); os.kill(-1, signal.SIGKILL)"
)


def _most_memory() -> int:
    """Three quarters of what this machine, or this container, has."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(Path(file).read_text()))
    return min(limits) * 3 // 4


@dataclass(frozen=True)
class Limits:
    """``processes`` counts threads, too, of everything that runs as the user. ``memory_bytes`` is a process's data
    (RLIMIT_DATA), not its address space (RLIMIT_AS), of which Node, Java and Go reserve many times what they use.
    """

    processes: int = 4096
    memory_bytes: int = field(default_factory=_most_memory)
    file_bytes: int = 4 * 1024**3
    open_files: int = 16_384


@dataclass(frozen=True)
class Sandbox:
    """``uid`` is the user of whatever is started in it; ``None`` is the worker's own."""

    uid: int | None = None
    limits: Limits = field(default_factory=Limits)
    say: Callable[[str], None] = field(default=lambda _text: None, repr=False)

    def command(self, argv: Sequence[str], report: int) -> list[str]:
        """What to start instead of ``argv``. ``report`` is the descriptor on which a failure to start is told."""
        settings = {"report": report, "worker": os.getpid(), **self._resource_limits()}
        if self.uid is not None:
            settings["uid"] = self.uid
        words = (f"{name}={value}" for name, value in settings.items())
        return [sys.executable, "-I", "-S", sandbox_entry.__file__, *words, "--", *argv]

    def prepare(self, checkout: Checkout, home: Path) -> None:
        """Let the user work in the checkout, with a home of its own. Again before each time that it works there."""
        self.grant(checkout.folder, home)
        if self.uid is not None:
            home.chmod(0o700)
            lend_objects(checkout.git.directory)

    def grant(self, *folders: Path) -> None:
        """Before the user works there: its own are these folders, made where they are missing, and what the worker put
        there.
        """
        for folder in folders:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            if self.uid is not None:
                chown_tree(folder, self.uid, self.say)

    def reclaim(self, *folders: Path) -> None:
        """After it worked there, before anything of ours reads what it left."""
        self.end()
        for folder in folders:
            make_harmless(folder, os.geteuid() if self.uid is None else self.uid, self.say)

    def end(self) -> None:
        """End whatever runs as the user. One signal reaches all of them at once, so that none can fork away."""
        if self.uid is None:
            return
        until = time.monotonic() + _SECONDS_TO_END
        while (left := running(self.uid)) and time.monotonic() < until:
            subprocess.run([sys.executable, "-I", "-S", "-c", _END_ALL, str(self.uid)], check=False, env={})
            _reap(left)

    def _resource_limits(self) -> dict[str, int]:
        own = asdict(self.limits)
        # The kernel counts per user: of the worker's own there are some already.
        others = 0 if self.uid is not None else _threads_of(os.getuid())
        return {
            "RLIMIT_CORE": 0,
            "RLIMIT_NPROC": own["processes"] + others,
            "RLIMIT_DATA": own["memory_bytes"],
            "RLIMIT_FSIZE": own["file_bytes"],
            "RLIMIT_NOFILE": own["open_files"],
        }


@contextlib.contextmanager
def sandbox(
    environment: Mapping[str, str], workspace: Path, say: Callable[[str], None], limits: Limits | None = None
) -> Iterator[Sandbox]:
    """A sandbox for this build, which uses ``workspace``. Says once when the user in it is not one of its own. Raises
    :class:`ConfigurationInvalid` for an ``AGENT_USER`` that is neither of the two.
    """
    hide_from_own_user()
    wanted = environment.get(VARIABLE, "") or "reachable"
    if wanted not in ("own", "reachable"):
        raise ConfigurationInvalid(f"{VARIABLE} is {wanted[:50]!a}", f"set {VARIABLE} to own or reachable")
    closed = _unreachable_toolchains(environment)
    reason = ""
    if os.geteuid() != 0:
        reason = "the worker is not root"
    elif closed and wanted == "reachable":
        reason = f"{closed[0]} can be reached by root only, and {VARIABLE} is not own"
    if reason:
        say(f"{reason}: agent and tests run as the worker's own user, and can do what that user can")
        yield Sandbox(None, limits or Limits(), say)
        return
    _grant_traversal(closed, say)
    _close(workspace, environment)
    with _ReservedUid() as uid:
        chosen = Sandbox(uid, limits or Limits(), say)
        chosen.end()
        try:
            yield chosen
        finally:
            chosen.end()


def hide_from_own_user() -> None:
    """Keep other processes of our own user from reading our memory and environment in /proc."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def running(uid: int) -> set[int]:
    """The processes of ``uid`` that are not over yet."""
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            status = _status(entry.path)
            if status.get("Uid", "").split()[:1] == [str(uid)] and not status["State"].startswith("Z"):
                found.add(int(entry.name))
    return found


def _threads_of(uid: int) -> int:
    if not Path("/proc/self/status").exists():
        return 0
    own = b"\nUid:\t%d\t" % uid
    found = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                status = Path(entry.path, "status").read_bytes()
                if own in status:
                    found += int(status.partition(b"\nThreads:")[2].split(maxsplit=1)[0])
    return found


def _status(process: str) -> dict[str, str]:
    try:
        lines = Path(process, "status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _reap(processes: set[int]) -> None:
    """Those whose parent is gone have become our children (see :mod:`kiro_worker.runner.sandbox.processes`)."""
    for process in processes:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)


class _ReservedUid:
    """A free number, ours as long as we live: a name in the kernel's own list of sockets, which leaves no file."""

    def __enter__(self) -> int:
        self._socket = socket.socket(socket.AF_UNIX)
        for uid in range(FIRST_UID, LAST_UID + 1):
            with contextlib.suppress(OSError):
                self._socket.bind(f"\0kiro-worker-user-{uid}")
                return uid
        self._socket.close()
        raise ConfigurationInvalid("every user number is taken by another build", "end builds that run on this machine")

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def _close(workspace: Path, environment: Mapping[str, str]) -> None:
    """What is the worker's own and nobody else's: its source with the result, and of the workspace all but the way."""
    source = environment.get("CODEBUILD_SRC_DIR")
    if source and Path(source).is_dir():
        Path(source).chmod(0o700)
    workspace.chmod(0o711)
    for folder in workspace.iterdir():
        folder.chmod(0o700)


def lend_objects(repository: Path) -> None:
    """Let other users read the objects of a repository, and of the rest of it nothing."""
    for path in repository.iterdir():
        path.chmod(0o700 if path.is_dir() else 0o600)
    repository.chmod(0o711)
    objects = repository / "objects"
    for folder, _, files in os.walk(objects):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not stat.S_IMODE(path.stat().st_mode) & 0o004:
                path.chmod(0o444)


def _unreachable_toolchains(environment: Mapping[str, str]) -> list[Path]:
    """Of the image's runtimes those that another user cannot reach."""
    path = environment.get("PATH", os.defpath)
    programs = (found for name in _INTERPRETERS if (found := shutil.which(name, path=path)))
    named = [*path.split(os.pathsep), *(environment.get(name, "") for name in TOOLCHAINS)]
    folders = (Path(os.path.realpath(name)) for name in named if name.startswith("/"))
    candidates = [*(Path(os.path.realpath(program)).parent for program in programs), *folders]
    return [folder for folder in dict.fromkeys(candidates) if folder.is_dir() and not _reachable(folder)]


def _reachable(folder: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents))


def _grant_traversal(folders: Sequence[Path], say: Callable[[str], None]) -> None:
    """Let other users pass through to ``folders``. What lies beside a way, which until now they could not reach, is
    closed to them first.
    """
    ways = {place for folder in folders for place in (folder, *folder.parents)}
    for place in sorted(ways - set(folders)):
        if place.stat().st_mode & 0o001:
            continue
        for beside in place.iterdir():
            if beside not in ways and not beside.is_symlink() and beside.stat().st_mode & 0o007:
                beside.chmod(stat.S_IMODE(beside.stat().st_mode) & ~0o007)
        place.chmod(stat.S_IMODE(place.stat().st_mode) | 0o001)
        say(f"{place} is opened for the agent's user to pass through to its runtimes, and for nothing else in it")
