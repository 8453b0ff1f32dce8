"""Child processes: their output and limits, and that none keeps running."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from kiro_worker.runner.sandbox import processes
from kiro_worker.runner.sandbox.environment import scrubbed_environment
from kiro_worker.runner.sandbox.processes import Finished, capture, stream


def run(code: str, tmp_path: Path, *, timeout_seconds: float = 30, stdin: str = "") -> tuple[Finished, list[str]]:
    lines: list[str] = []
    finished = stream(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        environment={"PATH": os.environ["PATH"]},
        timeout_seconds=timeout_seconds,
        sink=lines.append,
        redact=lambda text: text.replace("a-secret", "***"),
        stdin=stdin,
    )
    return finished, lines


def test_output_and_errors_are_redacted(tmp_path: Path) -> None:
    code = "import sys; print('one a-secret', flush=True); print('two', file=sys.stderr); print('three', end='')"

    finished, lines = run(code, tmp_path)

    assert finished.succeeded
    assert lines == ["one ***", "two", "three"]
    assert finished.last_lines(2) == "two\nthree"


def test_exit_code_is_reported(tmp_path: Path) -> None:
    finished, _ = run("raise SystemExit(7)", tmp_path)

    assert (finished.exit_code, finished.succeeded) == (7, False)


def test_timed_out_child_can_clean_up(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time, pathlib\n"
        "def stop(*_): pathlib.Path('stopped').touch(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('ready', flush=True)\ntime.sleep(300)"
    )

    finished, lines = run(code, tmp_path, timeout_seconds=1)

    assert finished.timed_out
    assert not finished.succeeded
    assert lines == ["ready"]
    assert (tmp_path / "stopped").exists()


def test_child_ignoring_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)
    code = (
        "import os, signal, time, pathlib\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "pathlib.Path(str(os.getpid())).touch()\n"
        "time.sleep(300)"
    )

    finished, _ = run(code, tmp_path, timeout_seconds=1)

    assert finished.timed_out
    assert finished.exit_code == -signal.SIGKILL
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert len(pids) == 2
    deadline = time.monotonic() + 30
    while any(map(exists, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def exists(pid: int) -> bool:
    """Whether the process exists. One that has ended does until its parent, which may be this one, waits for it."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_endlessly_printing_child_is_stopped(tmp_path: Path) -> None:
    count = 0

    def count_line(_line: str) -> None:
        nonlocal count
        count += 1

    finished = stream(
        ["yes"], cwd=tmp_path, environment={"PATH": os.environ["PATH"]}, timeout_seconds=0.5, sink=count_line
    )

    assert finished.timed_out
    assert count > 1000
    assert len(finished.lines) == processes.KEPT_LINES


def test_unread_input_does_not_block(tmp_path: Path) -> None:
    finished, _ = run("print('not read')", tmp_path, stdin="x" * 1_000_000)

    assert finished.lines == ("not read",)


def test_long_input_is_read_completely(tmp_path: Path) -> None:
    finished, _ = run("import sys; print(len(sys.stdin.read()))", tmp_path, stdin="x" * 1_000_000)

    assert finished.lines == ("1000000",)


def test_printing_daemon_does_not_block(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'while True: print(1)'], start_new_session=True)\n"
        "print('done')"
    )
    started = time.monotonic()

    finished, _ = run(code, tmp_path, timeout_seconds=60)

    assert finished.succeeded
    assert time.monotonic() - started < 20


def test_missing_program_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        stream(["no-such-program"], cwd=tmp_path, environment={}, timeout_seconds=5, sink=print)


def test_captured_output_lacks_errors(tmp_path: Path) -> None:
    answer = capture(
        [sys.executable, "-c", "import sys; print(sys.stdin.read().upper()); print('careful', file=sys.stderr)"],
        cwd=tmp_path,
        environment={},
        timeout_seconds=30,
        stdin=b"hello",
    )

    assert (answer.exit_code, answer.text, answer.error) == (0, "HELLO", "careful")


def test_environment_is_an_allow_list(tmp_path: Path) -> None:
    parent = {
        "PATH": "/bin",
        "JAVA_HOME": "/opt/java",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x",
        "GITHUB_TOKEN": "x",
        "CODEBUILD_BUILD_ID": "x",
        "GIT_DIR": "x",
        "PYTHONPATH": "x",
        "GOPATH": "/go",
        "LD_PRELOAD": "x",
        "HOME": "/root",
    }

    assert scrubbed_environment(tmp_path, parent, KEY="k") == {
        "PATH": "/bin",
        "JAVA_HOME": "/opt/java",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "EMAIL": "kiro-worker@localhost",
        "GIT_TERMINAL_PROMPT": "0",
        "MAVEN_OPTS": f"-Duser.home={tmp_path}",
        "MAVEN_USER_HOME": f"{tmp_path}/.m2",
        "GRADLE_USER_HOME": f"{tmp_path}/.gradle",
        "KEY": "k",
    }
