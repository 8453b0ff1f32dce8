"""The child processes of the build, each with its own process group and only the environment that it is given.

:func:`stream` runs a child whose output is for people (an agent, a test run), and :func:`capture` one whose output is
for the runner (git). Neither returns before every process that the child started has ended. A process that leaves the
group (``setsid``, a double fork) would escape, so the runner adopts orphans where the kernel supports that (Linux):
such a process becomes the runner's child, and is found and killed.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.sandbox import orphans
from kiro_worker.runner.sandbox.output import Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kiro_worker.runner.sandbox.sandbox import Sandbox

GRACE_SECONDS: Final = 5.0
"""How long a child has to end after SIGTERM before it is killed."""
KEPT_LINES: Final = 200
"""How many of the last lines a result contains. The sink gets every line."""

_DRAIN_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Finished:
    """How a streamed child ended. ``exit_code`` is negative when a signal ended it, as in :mod:`subprocess`."""

    exit_code: int
    timed_out: bool
    seconds: float
    lines: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0 and not self.timed_out

    def last_lines(self, count: int = 20) -> str:
        """Return the end of the output, without blank lines."""
        return "\n".join(line for line in self.lines[-count:] if line.strip())


@dataclass(frozen=True)
class Answer:
    """The exit code and the output of a captured child."""

    exit_code: int
    output: bytes
    error: str

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace").strip()


def stream(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    timeout_seconds: float,
    sink: Callable[[str], None],
    redact: Callable[[str], str] = str,
    stdin: str = "",
    sandbox: Sandbox | None = None,
) -> Finished:
    """Run ``argv`` and pass every line of its output and errors to ``sink`` as it arrives.

    Lines are cleaned, redacted and of limited length. Surrogates in ``stdin`` stand for bytes that are not UTF-8. With
    a ``sandbox``, the child runs in it, and no process is left in it afterwards. Raises :class:`OSError` when the child
    cannot be started.
    """
    started = time.monotonic()
    deadline = started + timeout_seconds
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    lines = Lines(redact)

    def emit(new_lines: Iterator[str]) -> None:
        for line in new_lines:
            kept.append(line)
            sink(line)

    with _child(argv, cwd=cwd, environment=environment, stderr=subprocess.STDOUT, sandbox=sandbox) as child:
        for chunk in _chunks(child, stdin.encode(errors="surrogateescape"), deadline):
            emit(lines.feed(chunk))
        timed_out = _is_running_at(deadline, child)
        if timed_out:
            _stop(child)
    emit(lines.close())
    return Finished(child.returncode, timed_out, time.monotonic() - started, tuple(kept))


def capture(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    timeout_seconds: float,
    stdin: bytes = b"",
    pass_fds: Sequence[int] = (),
) -> Answer:
    """Run ``argv`` and return its output.

    Raises :class:`subprocess.TimeoutExpired`, and :class:`OSError` when the child cannot be started.
    """
    with _child(argv, cwd=cwd, environment=environment, stderr=subprocess.PIPE, pass_fds=pass_fds) as child:
        output, error = child.communicate(stdin, timeout=timeout_seconds)
    return Answer(child.returncode, output, error.decode(errors="replace").strip())


@contextlib.contextmanager
def _child(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    stderr: int,
    pass_fds: Sequence[int] = (),
    sandbox: Sandbox | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    adopted = orphans.adopt()
    before = orphans.children() if adopted else set()

    def start(command: Sequence[str], descriptors: Sequence[int]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env={**sandbox.identity, **environment} if sandbox else dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=descriptors,
            start_new_session=True,
        )

    child = _start_in(sandbox, argv, start) if sandbox else start(argv, pass_fds)
    with contextlib.ExitStack() as at_end:
        if adopted:
            at_end.callback(orphans.kill, before)
        at_end.callback(_close_pipes, child)
        if sandbox:
            at_end.callback(sandbox.end)
        # Wait before the sandbox reaps the user's processes, or it would reap this child, too, and lose its exit code.
        at_end.callback(_wait_for_killed, child)
        at_end.callback(_signal_group, child.pid, signal.SIGKILL)
        yield child


def _wait_for_killed(child: subprocess.Popen[bytes]) -> None:
    try:
        child.wait(timeout=orphans.KILL_SECONDS)
    except subprocess.TimeoutExpired:
        raise orphans.not_ended([child.pid], orphans.KILL_SECONDS, "") from None


def _close_pipes(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe:
            # Closing flushes input that the child, which has ended, did not read.
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _start_in(
    sandbox: Sandbox, argv: Sequence[str], start: Callable[[Sequence[str], Sequence[int]], subprocess.Popen[bytes]]
) -> subprocess.Popen[bytes]:
    """Start ``argv`` through the sandbox's entry program, which reports a failure to start on a pipe."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as report:
        try:
            child = start(sandbox.command(argv, writing), (writing,))
        finally:
            os.close(writing)
        failure = report.read()
    if failure:
        child.communicate()
        raise OSError(int(failure), os.strerror(int(failure)), argv[0])
    return child


def _chunks(child: subprocess.Popen[bytes], stdin: bytes, deadline: float) -> Iterator[bytes]:
    """Write ``stdin`` and yield the output until the child ends, closes its output, or the deadline passes."""
    writing, reading = child.stdin, child.stdout
    if writing is None or reading is None:
        raise ValueError("the child was started without pipes")
    os.set_blocking(writing.fileno(), False)
    os.set_blocking(reading.fileno(), False)
    unsent = memoryview(stdin)
    ended = False
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        selector.register(writing, selectors.EVENT_WRITE)
        while (remaining := deadline - time.monotonic()) > 0:
            if not ended and child.poll() is not None:
                # Processes that it left running can keep the output open, or fill it, forever: read only what is there.
                ended = True
                deadline = min(deadline, time.monotonic() + _DRAIN_SECONDS)
            ready = selector.select(0 if ended else min(remaining, 0.2))
            for key, _ in ready:
                if key.fileobj is writing:
                    unsent = _write(writing.fileno(), unsent)
                    if not unsent:
                        selector.unregister(writing)
                        writing.close()
                elif chunk := os.read(reading.fileno(), 1 << 16):
                    yield chunk
                else:
                    return
            if ended and not ready:
                return


def _write(descriptor: int, data: memoryview) -> memoryview:
    try:
        return data[os.write(descriptor, data) :] if data else data
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return data[:0]


def _is_running_at(deadline: float, child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return True
    return False


def _stop(child: subprocess.Popen[bytes]) -> None:
    _signal_group(child.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=GRACE_SECONDS)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
