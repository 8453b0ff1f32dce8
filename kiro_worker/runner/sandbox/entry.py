"""The last code in a child that runs with the runner's privileges: it gives them up and becomes the program.

Run as ``python -I -S entry.py <name>=<number>… -- <program> <argument>…``. It is a program, not a ``preexec_fn``, which
would run Python between fork and exec, where a lock of another thread can stay held forever. Nor does it use
``subprocess``'s ``user=``: the other user would have to be able to read the interpreter, which can lie in root's home,
and the limits could be set only after the child has started.

It imports none of our modules and as little of the standard library as possible, because every turn waits for it:
``json`` and ``pathlib`` alone would double its run time.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import sys

# execvp imports this module when it searches PATH, and by then the user may not be allowed to read the library.
import warnings  # noqa: F401

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES = 64


def main(arguments: list[str]) -> None:
    """Become the program; never returns.

    A failure is written to the descriptor ``report`` as an error number, as ``subprocess`` does.
    """
    end = arguments.index("--")
    settings, argv = _numbers(arguments[:end]), arguments[end + 1 :]
    report, runner = settings.pop("report"), settings.pop("runner")
    uid = settings.pop("uid", None)
    # The kernel closes it when the program starts, so the runner, which reads the other end, reads end-of-file.
    fcntl.fcntl(report, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    try:
        _drop_privileges()
        _set_limits(settings)
        _switch_user(uid)
        _die_with(runner)
        # Python ignores these two signals, and a program that inherits this does not notice a closed pipe.
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored, signal.SIG_DFL)
        os.execvp(argv[0], argv)  # noqa: S606  # a shell is not wanted here
    except OSError as error:
        os.write(report, str(error.errno).encode())
        os._exit(127)


def _numbers(words: list[str]) -> dict[str, int]:
    pairs = (word.partition("=") for word in words)
    return {name: int(value) for name, _, value in pairs}


def _drop_privileges() -> None:
    """Keep set-uid programs from giving the child privileges, and have the kernel kill it first if memory runs out."""
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


def _set_limits(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        highest = resource.getrlimit(kind)[1]
        if highest != resource.RLIM_INFINITY:
            value = min(value, highest)
        resource.setrlimit(kind, (value, value))


def _switch_user(uid: int | None) -> None:
    """Switch to the user without an account. It is in none of the runner's groups, and there is no way back."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _die_with(runner: int) -> None:
    """Have the kernel kill the child when the runner dies, because a killed runner cannot end its children.

    This comes after the change of user, which would reset it.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != runner:
            os._exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
