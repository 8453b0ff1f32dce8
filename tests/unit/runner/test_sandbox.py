"""The sandbox's user, its limits, and what it can reach."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from kiro_worker.errors import BuildStopped, ConfigurationInvalid
from kiro_worker.runner.sandbox.agent_user import FIRST_UID, LAST_UID, ReservedUid, end_processes, running
from kiro_worker.runner.sandbox.processes import stream
from kiro_worker.runner.sandbox.sandbox import Limits, Sandbox, sandbox
from tests.support.hostile import PYTHON, SYSTEM_PATH
from tests.support.worker import ROOT

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give the agent a separate user")
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="isolation needs Linux")


@pytest.fixture
def workspace() -> Iterator[Path]:
    """A folder that is not below pytest's own, which is closed to other users."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def output_of(box: Sandbox, *argv: str, folder: Path) -> list[str]:
    lines: list[str] = []
    stream(argv, cwd=folder, environment={"PATH": SYSTEM_PATH}, timeout_seconds=30, sink=lines.append, sandbox=box)
    return lines


@pytest.fixture
def closed_runtime(workspace: Path) -> Path:
    """A runtime beside other files in a home that is closed to other users, as in CodeBuild's image."""
    home = workspace / "root-home"
    programs = home / ".runtime" / "versions" / "bin"
    programs.mkdir(parents=True)
    (programs / "greet").write_text("#!/bin/sh\necho hello\n")
    (programs / "greet").chmod(0o755)
    (home / ".other" / "bin").mkdir(parents=True)
    (home / "token").write_text("secret\n")
    workspace.chmod(0o755)
    home.chmod(0o700)
    return programs


@as_root
@on_linux
def test_own_user_reaches_only_runtimes(workspace: Path, closed_runtime: Path) -> None:
    home, log = workspace / "root-home", list[str]()
    second = home / ".other" / "bin"
    environment = {"AGENT_USER": "own", "PATH": f"{closed_runtime}:{SYSTEM_PATH}", "GOROOT": str(second)}

    (workspace / "work").mkdir()
    with sandbox(environment, workspace / "work", log.append) as box:
        assert box.uid is not None
        lines = output_of(box, str(closed_runtime / "greet"), folder=Path("/"))
        token = output_of(box, "cat", str(home / "token"), folder=Path("/"))
        listed = output_of(box, "ls", str(home), str(second), folder=Path("/"))

    assert lines == ["hello"]
    assert "Permission denied" in token[0]
    assert "cannot open directory" in " ".join(listed)
    assert f"{second}:" in listed
    assert log == [f"the agent's user may now pass through {home} to its runtimes, and can reach nothing else in it"]


@as_root
@on_linux
def test_closed_runtimes_stay_closed_by_default(workspace: Path, closed_runtime: Path) -> None:
    log: list[str] = []

    with sandbox({"PATH": f"{closed_runtime}:{SYSTEM_PATH}"}, workspace, log.append) as box:
        assert box.uid is None

    assert len(log) == 1
    assert log[0].startswith(f"only root can reach {closed_runtime}, and AGENT_USER is not own: agent and")
    assert (workspace / "root-home").stat().st_mode & 0o777 == 0o700


@as_root
@on_linux
def test_two_builds_have_two_users(workspace: Path) -> None:
    environment = {"PATH": SYSTEM_PATH, "AGENT_USER": "own"}
    with sandbox(environment, workspace, print) as one, sandbox(environment, workspace, print) as other:
        assert one.uid is not None
        assert other.uid is not None
        assert one.uid != other.uid
        assert {one.uid, other.uid} <= set(range(FIRST_UID, LAST_UID + 1))
        with subprocess.Popen(["sleep", "60"], user=other.uid) as process:
            one.end()
            assert running(other.uid) == {process.pid}
            other.end()
            assert running(other.uid) == set()


@as_root
@on_linux
def test_folders_of_runner_are_closed(workspace: Path) -> None:
    source = workspace / "src"
    for folder in ("src", "logs"):
        (workspace / folder).mkdir()
        (workspace / folder / "file").write_text("x")

    with sandbox({"PATH": SYSTEM_PATH, "AGENT_USER": "own", "CODEBUILD_SRC_DIR": str(source)}, workspace, print) as box:
        lines = output_of(box, "cat", str(source / "file"), str(workspace / "logs/file"), folder=Path("/"))

    assert [line.rpartition(": ")[2] for line in lines] == ["Permission denied"] * 2


def test_unknown_agent_user_is_an_error(workspace: Path) -> None:
    with (
        pytest.raises(ConfigurationInvalid, match="set AGENT_USER to own or reachable"),
        sandbox({"AGENT_USER": "root"}, workspace, print),
    ):
        pass


def test_failed_start_raises_usual_error(workspace: Path) -> None:
    script = workspace / "script"
    script.write_text("not executable")
    for program, error in (("no-such-program", FileNotFoundError), (str(script), PermissionError)):
        with pytest.raises(error, match=Path(program).name):
            output_of(Sandbox(), program, folder=workspace)


def test_limits_hold_for_runners_own_user(workspace: Path) -> None:
    box = Sandbox(limits=Limits(file_bytes=4096, open_files=64, memory_bytes=1 << 30))

    script = "ulimit -n; ulimit -c; ulimit -f; ulimit -d; umask"
    assert output_of(box, "sh", "-c", script, folder=workspace) == ["64", "0", "8", "1048576", "0022"]


@pytest.mark.parametrize("separate_user", [False, pytest.param(True, marks=[as_root, on_linux])])
def test_granted_home_is_private(workspace: Path, separate_user: bool) -> None:
    with ReservedUid() if separate_user else nullcontext() as uid:
        box = Sandbox(uid)
        home = workspace / "home"
        for mode in (None, 0o755):
            if mode is not None:
                home.chmod(mode)
            box.grant(workspace / "checkout", home)

            info = home.stat()
            assert (info.st_uid, info.st_mode & 0o777) == (os.geteuid() if uid is None else uid, 0o700)
        assert (workspace / "checkout").stat().st_uid == info.st_uid


@as_root
@on_linux
def test_process_without_first_thread_is_ended(workspace: Path) -> None:
    """The kernel shows it as a zombie."""
    leave = (
        "import ctypes, sys, threading, time; threading.Thread(target=time.sleep, args=(60,)).start();"
        " print('ready', flush=True); ctypes.CDLL(None).pthread_exit(None)"
    )
    with (
        ReservedUid() as uid,
        subprocess.Popen([PYTHON, "-c", leave], user=uid, group=uid, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout
        process.stdout.readline()
        status = Path(f"/proc/{process.pid}/status")
        wait_until(lambda: "State:\tZ" in status.read_text())

        end_processes(uid)

        assert not status.exists()


@as_root
@on_linux
@pytest.mark.parametrize(
    "code",
    [
        "import os\nwhile True:\n  if os.fork(): os._exit(0)",
        "import os\nfor _ in range(200): os.fork() or os.setsid()\nwhile True: os.fork()",
        "import os\nwhile True:\n  try: os.kill(-1, 9)\n  except OSError: pass",
    ],
    ids=["moves on", "multiplies", "kills"],
)
def test_processes_cannot_escape_their_end(code: str) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_NPROC, (100, 100))\n{code}"
    with ReservedUid() as uid, subprocess.Popen([PYTHON, "-c", limited], user=uid, group=uid):
        wait_until(lambda: bool(running(uid)))

        end_processes(uid)

        assert running(uid) == set()


@on_linux
def test_failure_to_end_unseen_processes_says_why() -> None:
    with pytest.raises(BuildStopped) as stopped:
        end_processes(-5, timeout_seconds=0.1)

    assert "the processes of user -5 cannot be listed, and the program that kills them failed: " in str(stopped.value)
    assert "Error: " in stopped.value.reason, "its own words are quoted"


UNKILLABLE = """
import os
from pathlib import Path
from kiro_worker.errors import BuildStopped
from kiro_worker.runner.sandbox.agent_user import end_processes

if child := os.fork():
    os.setresuid(60_999, 60_999, 60_999)
    os.waitpid(child, 0)
else:
    while "60999" not in Path("/proc/1/status").read_text():
        pass
    try:
        end_processes(60_999, timeout_seconds=0.5)
    except BuildStopped as stop:
        print(stop, flush=True)
"""


@as_root
@on_linux
def test_process_that_cannot_be_ended_is_an_error() -> None:
    """In a PID namespace, no process can kill the first one."""
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", UNKILLABLE],
        capture_output=True,
        text=True,
        env={"PATH": SYSTEM_PATH, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    if "unshare failed" in done.stderr:
        pytest.skip("root may not create namespaces in this container")

    assert done.stdout.startswith(
        "WorkerFailed: processes that the agent, setup or the tests left running could not be ended within 0.5"
        " seconds: 1 (python"
    ), done.stderr
    assert "How to fix: redrive the execution" in done.stdout


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
