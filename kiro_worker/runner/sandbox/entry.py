"""The last thing that runs as the worker in a child's process: it gives up what the worker may do and becomes the
program.

Run as ``python -I -S sandbox_entry.py <name>=<number>… -- <program> <argument>…``. A program of its own and not
``preexec_fn``, which runs Python between fork and exec, where another thread's lock may be held for ever; and not
``subprocess``'s ``user=`` either, for then the interpreter itself, which may lie in root's home, would have to be
readable to the other user, and limits could only be set when the child runs already.

It imports nothing of ours, and of Python's own no more than it needs, for a build waits for it at every turn: json and
pathlib alone would double the time.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import sys

# execvp imports it when it looks along PATH, and then the other user may not be allowed to read the library.
import warnings  # noqa: F401

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES = 64


def main(arguments: list[str]) -> None:
    """Never returns. What fails is written to the descriptor ``report`` as an error number, as subprocess does."""
    end = arguments.index("--")
    settings, argv = _numbers(arguments[:end]), arguments[end + 1 :]
    report, worker = settings.pop("report"), settings.pop("worker")
    uid = settings.pop("uid", None)
    # Closed by the kernel when the program starts: the worker, which reads the other end, then sees its end.
    fcntl.fcntl(report, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    try:
        _renounce()
        _limit(settings)
        _become(uid)
        _die_with(worker)
        # Python ignores these two, and a program that inherits that does not notice a closed pipe.
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored, signal.SIG_DFL)
        os.execvp(argv[0], argv)  # noqa: S606  # there is to be no shell
    except OSError as error:
        os.write(report, str(error.errno).encode())
        os._exit(127)


def _numbers(words: list[str]) -> dict[str, int]:
    pairs = (word.partition("=") for word in words)
    return {name: int(value) for name, _, value in pairs}


def _renounce() -> None:
    """Whatever is started here cannot gain rights by starting a set-uid program, and is the first that the kernel
    sacrifices when memory runs out.
    """
    os.umask(0o022)
    with contextlib.suppress(OSError):
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(score, b"1000")
        os.close(score)
    if sys.platform.startswith("linux"):
        prctl = ctypes.CDLL(None).prctl
        if os.geteuid() == 0:
            for capability in range(_CAPABILITIES):
                prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        highest = resource.getrlimit(kind)[1]
        if highest != resource.RLIM_INFINITY:
            value = min(value, highest)
        resource.setrlimit(kind, (value, value))


def _become(uid: int | None) -> None:
    """The user without an account: no group of the worker's is left, and there is no way back."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _die_with(worker: int) -> None:
    """A worker that is killed cannot end its child. After the change of user, which would undo this."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != worker:
            os._exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
