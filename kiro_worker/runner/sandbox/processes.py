"""Children of the build: each in its own process group, with exactly the environment it is given, and gone when we are
done with it.

Two ways to run one: :func:`stream` for what talks to people (an agent, a test run), :func:`capture` for what answers us
(git). Either way nothing that the child started outlives the call. What leaves the group (``setsid``, a double fork)
would, so the worker makes itself the reaper of orphans where the kernel can do that (Linux): such a process becomes our
child, is seen and is killed.
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
"""How long a child that was told to stop (TERM) may take before it is killed."""
KEPT_LINES: Final = 200
"""How many of the last lines a result carries; all of them go to the sink."""

TOOLCHAINS: Final = (
    *("CARGO_HOME", "DOTNET_ROOT", "GOPATH", "GOROOT", "JAVA_HOME", "MAVEN_HOME", "NVM_DIR", "N_PREFIX"),
    *("PHPENV_ROOT", "PYENV_ROOT", "RBENV_ROOT", "RUSTUP_HOME"),
)
"""Where an image keeps its runtimes: directories, no secrets, and without them the shims on PATH do not work."""

_DRAIN_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Finished:
    """How a streamed child ended; ``exit_code`` is negative when a signal ended it, as in :mod:`subprocess`."""

    exit_code: int
    timed_out: bool
    seconds: float
    lines: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0 and not self.timed_out

    def last_lines(self, count: int = 20) -> str:
        """The end of its output, for a reason that people read."""
        return "\n".join(line for line in self.lines[-count:] if line.strip())


@dataclass(frozen=True)
class Answer:
    """What a captured child answered."""

    exit_code: int
    output: bytes
    error: str

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace").strip()


def scrubbed_environment(home: Path, parent: Mapping[str, str], **own: str) -> dict[str, str]:
    """All that a child we do not trust gets: an allow-list, so that what is new is left out until it is named."""
    return {
        "PATH": parent.get("PATH", os.defpath),
        **{name: parent[name] for name in TOOLCHAINS if name in parent},
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        **own,
    }


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
    """Run ``argv`` to its end and hand every line of its output, both streams as they come, to ``sink``: clean,
    redacted, bounded. With a ``sandbox`` it runs in there, and nothing is left in it afterwards. Raises
    :class:`OSError` when it cannot be started.
    """
    started = time.monotonic()
    deadline = started + timeout_seconds
    kept: deque[str] = deque(maxlen=KEPT_LINES)
    lines = Lines(redact)

    def tell(found: Iterator[str]) -> None:
        for line in found:
            kept.append(line)
            sink(line)

    with _child(argv, cwd=cwd, environment=environment, stderr=subprocess.STDOUT, sandbox=sandbox) as child:
        for chunk in _chunks(child, stdin.encode(), deadline):
            tell(lines.feed(chunk))
        timed_out = _outlives(child, deadline)
        if timed_out:
            _stop(child)
    tell(lines.close())
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
    """Run ``argv`` and return what it wrote. Raises :class:`subprocess.TimeoutExpired`, and :class:`OSError` as
    :func:`stream` does.
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
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            pass_fds=descriptors,
            start_new_session=True,
        )

    child = _start_in(sandbox, argv, start) if sandbox else start(argv, pass_fds)
    try:
        yield child
    finally:
        _signal_group(child.pid, signal.SIGKILL)
        # Before the sandbox reaps what is left in it, or the exit code would be lost with it.
        child.wait()
        if sandbox:
            sandbox.end()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe:
                # Writing what is left to a child that is gone is no loss.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        if adopted:
            orphans.kill(before, GRACE_SECONDS)


def _start_in(
    sandbox: Sandbox, argv: Sequence[str], start: Callable[[Sequence[str], Sequence[int]], subprocess.Popen[bytes]]
) -> subprocess.Popen[bytes]:
    """Start ``argv`` by way of the sandbox's own program, which says on a pipe why it could not, and else closes it."""
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
    """Write ``stdin`` and read what comes, until the child ends, closes its output, or the deadline passes."""
    writing, reading = child.stdin, child.stdout
    if writing is None or reading is None:
        raise ValueError("the child was started without pipes")
    os.set_blocking(writing.fileno(), False)
    os.set_blocking(reading.fileno(), False)
    left = memoryview(stdin)
    ended = False
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        selector.register(writing, selectors.EVENT_WRITE)
        while (remaining := deadline - time.monotonic()) > 0:
            if not ended and child.poll() is not None:
                # What it left behind may hold the output open, or fill it, for ever: only what is there is read.
                ended = True
                deadline = min(deadline, time.monotonic() + _DRAIN_SECONDS)
            ready = selector.select(0 if ended else min(remaining, 0.2))
            for key, _ in ready:
                if key.fileobj is writing:
                    left = _write(writing.fileno(), left)
                    if not left:
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


def _outlives(child: subprocess.Popen[bytes], deadline: float) -> bool:
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
