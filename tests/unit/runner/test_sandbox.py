from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiro_worker.errors import ConfigurationInvalid
from kiro_worker.runner.sandbox.processes import stream
from kiro_worker.runner.sandbox.sandbox import FIRST_UID, LAST_UID, Limits, Sandbox, running, sandbox
from kiro_worker.runner.sandbox.untrusted_files import read_file, write_file

SYSTEM_PATH = "/usr/bin:/bin"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give the agent a user of its own")
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="isolation is Linux's")


@pytest.fixture
def workspace() -> Iterator[Path]:
    """Not below pytest's own folder, which is closed to other users."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def printed(box: Sandbox, *argv: str, folder: Path) -> list[str]:
    lines: list[str] = []
    stream(argv, cwd=folder, environment={"PATH": SYSTEM_PATH}, timeout_seconds=30, sink=lines.append, sandbox=box)
    return lines


@pytest.fixture
def closed_runtime(workspace: Path) -> Path:
    """As in CodeBuild's image: a runtime, and other things, in a home that is closed to others."""
    home = workspace / "home-of-root"
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
def test_the_way_to_a_runtime_is_opened_and_nothing_beside_it(workspace: Path, closed_runtime: Path) -> None:
    home, said = workspace / "home-of-root", list[str]()
    second = home / ".other" / "bin"
    environment = {"AGENT_USER": "own", "PATH": f"{closed_runtime}:{SYSTEM_PATH}", "GOROOT": str(second)}

    (workspace / "work").mkdir()
    with sandbox(environment, workspace / "work", said.append) as box:
        assert box.uid is not None
        lines = printed(box, str(closed_runtime / "greet"), folder=Path("/"))
        token = printed(box, "cat", str(home / "token"), folder=Path("/"))
        listed = printed(box, "ls", str(home), str(second), folder=Path("/"))

    assert lines == ["hello"]
    assert "Permission denied" in token[0]
    assert "cannot open directory" in " ".join(listed)
    assert f"{second}:" in listed
    assert said == [
        f"{home} is opened for the agent's user to pass through to its runtimes, and for nothing else in it"
    ]


@as_root
@on_linux
def test_without_being_told_to_nothing_is_opened_and_the_log_says_so(workspace: Path, closed_runtime: Path) -> None:
    said: list[str] = []

    with sandbox({"PATH": f"{closed_runtime}:{SYSTEM_PATH}"}, workspace, said.append) as box:
        assert box.uid is None

    assert len(said) == 1
    assert said[0].startswith(f"{closed_runtime} can be reached by root only, and AGENT_USER is not own: agent and")
    assert (workspace / "home-of-root").stat().st_mode & 0o777 == 0o700


@as_root
@on_linux
def test_two_builds_on_one_machine_have_two_users(workspace: Path) -> None:
    environment = {"PATH": SYSTEM_PATH, "AGENT_USER": "own"}
    with sandbox(environment, workspace, print) as one, sandbox(environment, workspace, print) as other:
        assert one.uid is not None
        assert other.uid is not None
        assert FIRST_UID <= one.uid < other.uid <= LAST_UID
        with subprocess.Popen(["sleep", "60"], user=other.uid) as process:
            one.end()
            assert running(other.uid) == {process.pid}
            other.end()
            assert running(other.uid) == set()


@as_root
@on_linux
def test_the_workers_own_folders_are_closed(workspace: Path) -> None:
    source = workspace / "src"
    for folder in ("src", "logs"):
        (workspace / folder).mkdir()
        (workspace / folder / "file").write_text("x")

    with sandbox({"PATH": SYSTEM_PATH, "AGENT_USER": "own", "CODEBUILD_SRC_DIR": str(source)}, workspace, print) as box:
        said = printed(box, "cat", str(source / "file"), str(workspace / "logs/file"), folder=Path("/"))

    assert [line.rpartition(": ")[2] for line in said] == ["Permission denied"] * 2


def test_a_choice_that_does_not_exist_is_an_error(workspace: Path) -> None:
    with (
        pytest.raises(ConfigurationInvalid, match="set AGENT_USER to own or reachable"),
        sandbox({"AGENT_USER": "root"}, workspace, print),
    ):
        pass


def test_a_program_that_cannot_be_started_is_the_same_error_in_a_sandbox(workspace: Path) -> None:
    script = workspace / "script"
    script.write_text("not executable")
    for program, error in (("no-such-program", FileNotFoundError), (str(script), PermissionError)):
        with pytest.raises(error, match=Path(program).name):
            printed(Sandbox(), program, folder=workspace)


def test_limits_hold_for_the_workers_own_user_too(workspace: Path) -> None:
    box = Sandbox(limits=Limits(file_bytes=4096, open_files=64, memory_bytes=1 << 30))

    script = "ulimit -n; ulimit -c; ulimit -f; ulimit -d; umask"
    assert printed(box, "sh", "-c", script, folder=workspace) == ["64", "0", "8", "1048576", "0022"]


def test_a_file_is_written_where_it_is_and_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "tasks.md").write_text("- [ ] 1. A long first line\n")
    outside = tmp_path / "outside"
    outside.write_text("kept\n")
    (folder / "link").symlink_to(outside)
    os.link(outside, folder / "second-name")

    write_file(folder, "a/tasks.md", b"- [x] 1.\n")

    assert read_file(folder, "a/tasks.md") == b"- [x] 1.\n"
    for name in ("link", "second-name", "../outside", "missing", "a"):
        with pytest.raises(OSError, match=r"."):
            write_file(folder, name, b"lost\n")
    assert outside.read_text() == "kept\n"
