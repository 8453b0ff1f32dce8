"""start.sh in images that lack something: each test's PATH is the image."""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kiro_worker.errors import ERRORS_OF_BUILDS
from kiro_worker.models import BuildResult
from kiro_worker.outcomes import FaultOwner

ROOT = Path(__file__).parents[2]
SHELLS = [shell for shell in ("/bin/dash", "/bin/bash", "/bin/busybox") if Path(shell).exists()]
OWN = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ci@sha256:0a"
Start = Callable[..., subprocess.CompletedProcess[str]]


class Image:
    """A PATH with a few tools, and the build's source beside it."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.source = folder / "bin", folder / "source dir"
        self.bin.mkdir()
        (self.source / "python" / "kiro_worker" / "runner").mkdir(parents=True)
        for module in ("pydantic_core.py", "kiro_worker/__init__.py", "kiro_worker/runner/__init__.py"):
            (self.source / "python" / module).touch()
        self.runner = self.source / "python" / "kiro_worker" / "runner" / "__main__.py"
        self.runner.write_text("import os, sys; print('runner', sys.argv, os.environ['PATH'], flush=True)\n")
        for tool in ("tr", "sed", "chmod", "sleep"):
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)

    def add(self, name: str, script: str, folder: Path | None = None) -> None:
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def add_git(self, version: str = "git version 2.39.5") -> None:
        self.add("git", f"echo {shlex.quote(version)}")

    def add_python(self, name: str, folder: Path | None = None) -> None:
        self.add(name, f'CHOSEN={name} exec {shlex.quote(sys.executable)} "$@"', folder)

    @property
    def result(self) -> BuildResult:
        lines = (self.source / "result.env").read_text().splitlines()
        exported = dict(shlex.split(line)[1].split("=", 1) for line in lines)
        return BuildResult.from_document(
            {"status": "FAILED", "variables": [{"Name": k, "Value": v} for k, v in exported.items()]}
        )


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path)


@pytest.fixture(params=SHELLS, ids=lambda shell: Path(shell).name)
def start(image: Image, request: pytest.FixtureRequest) -> Start:
    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        shell = [request.param, "sh"] if request.param.endswith("busybox") else [request.param]
        return subprocess.run(
            [*shell, str(ROOT / "start.sh")],
            cwd=image.source,
            env={"PATH": str(image.bin), "CODEBUILD_SRC_DIR": str(image.source), **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def require_unsuitable(image: Image, done: subprocess.CompletedProcess[str], owner: FaultOwner, *words: str) -> None:
    assert done.returncode == 1
    result = image.result
    assert (result.outcome, result.error, result.owner) == ("WorkerFailed", "BuildImageUnsuitable", owner)
    assert result.error in ERRORS_OF_BUILDS
    for word in words:
        assert word in result.reason
        assert word in done.stderr


def test_python_of_image_runs_runner(image: Image, start: Start) -> None:
    image.add_git()
    image.add_python("python3")
    done = start()
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"runner ['{image.runner}'] {image.bin}\n"
    assert not (image.source / "result.env").exists()


def test_exit_code_is_runners_own(image: Image, start: Start) -> None:
    image.add_git()
    image.add_python("python3")
    image.runner.write_text("raise SystemExit(7)\n")
    assert start().returncode == 7
    assert not (image.source / "result.env").exists()


def test_python_that_does_not_fit_is_passed_over(image: Image, start: Start) -> None:
    image.add_git()
    image.add("python3", "exit 1")
    image.add_python("python3.12")
    image.runner.write_text("import os; print(os.environ['CHOSEN'])\n")
    assert start().stdout == "python3.12\n"


def test_bundled_python_comes_first_and_stays_out_of_path(image: Image, start: Start) -> None:
    image.add_git()
    image.add_python("python3")
    image.add_python("python3.13", image.source / "bundled-python" / "bin")
    (image.source / "bundled-python" / "bin" / "python3.13").chmod(0o600)
    image.runner.write_text("import os; print(os.environ['CHOSEN'], os.environ['PATH'])\n")
    assert start().stdout == f"python3.13 {image.bin}\n"


def test_pyenv_is_asked_for_python_of_wheels(image: Image, start: Start) -> None:
    image.add_git()
    image.add_python("python3")
    image.add("pyenv", 'echo "$@"')
    assert start(PYTHON_313_VERSION="3.13.1").stdout.startswith("global 3.13.1\nrunner ")


def test_missing_git_is_named(image: Image, start: Start) -> None:
    image.add_python("python3")
    done = start(BUILD_IMAGE=OWN, CODEBUILD_BUILD_IMAGE=OWN)
    require_unsuitable(image, done, FaultOwner.INSTALLATION, f"image {OWN} has no git. How to fix: install git 2.38")


@pytest.mark.parametrize(
    ("version", "shown"), [("git version 2.30.2", "2.30"), ("git version 1.99.9", "1.99"), ("gut 2", "?.?")]
)
def test_old_git_is_named(image: Image, start: Start, version: str, shown: str) -> None:
    image.add_git(version)
    image.add_python("python3")
    require_unsuitable(image, start(), FaultOwner.INSTALLATION, f"of this build has git {shown}, which is too old")


@pytest.mark.parametrize(
    "version", ["git version 2.38.0", "git version 2.100.1.windows.1", "git version 3.0.0", "git version 2.39.5 (x-1)"]
)
def test_newer_git_is_accepted(image: Image, start: Start, version: str) -> None:
    image.add_git(version)
    image.add_python("python3")
    assert start().returncode == 0


def test_missing_python_is_named(image: Image, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    image.add_git()
    # So that no Python of this machine fits, wherever it is.
    (image.source / "python" / "pydantic_core.py").write_text("raise ImportError('undefined symbol')\n")
    done = start(BUILD_IMAGE=OWN, CODEBUILD_BUILD_IMAGE="acme/ci:1';touch x;'")
    require_unsuitable(
        image, done, FaultOwner.REPOSITORY, "image acme/ci:1touchx has no Python", "runnerPython=bundled"
    )


def test_bundled_python_that_cannot_run_is_named(image: Image, start: Start) -> None:
    image.add_git()
    (image.source / "python" / "pydantic_core.py").write_text("raise ImportError\n")
    image.add("python3.13", "exit 127", image.source / "bundled-python" / "bin")
    require_unsuitable(image, start(), FaultOwner.INSTALLATION, "cannot run the Python that the worker brings", "glibc")


DOCKERD = """exec {python} -c 'import socket, sys, time
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1].removeprefix("--host=unix://")); time.sleep(5)' "$@"
"""


def test_privileged_build_opens_docker(image: Image, start: Start, tmp_path: Path) -> None:
    image.add_git()
    image.add_python("python3")
    image.add("dockerd", DOCKERD.format(python=shlex.quote(sys.executable)))
    daemon = tmp_path / "docker.sock"
    assert start(BUILD_PRIVILEGED="true", DOCKER_SOCKET=str(daemon)).returncode == 0
    assert daemon.stat().st_mode & 0o777 == 0o666


@pytest.mark.parametrize("privileged", ["true", "false", ""])
def test_docker_is_only_for_privileged_builds(image: Image, start: Start, tmp_path: Path, privileged: str) -> None:
    image.add_git()
    image.add_python("python3")
    daemon = tmp_path / "docker.sock"
    done = start(BUILD_PRIVILEGED=privileged, DOCKER_SOCKET=str(daemon))
    assert done.returncode == 0
    assert ("no Docker daemon listens" in done.stderr) == (privileged == "true")


@pytest.mark.parametrize("privileged", ["false", ""])
def test_socket_of_other_builds_stays_closed(image: Image, start: Start, tmp_path: Path, privileged: str) -> None:
    image.add_git()
    image.add_python("python3")
    daemon = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(daemon))
        daemon.chmod(0o660)
        assert start(BUILD_PRIVILEGED=privileged, DOCKER_SOCKET=str(daemon)).returncode == 0
    assert daemon.stat().st_mode & 0o777 == 0o660


def test_runner_needs_git_that_script_demands() -> None:
    """``merge-tree --write-tree``, with which the runner rebases its work, is new in git 2.38."""
    assert 'oldest_git="2.38"' in (ROOT / "start.sh").read_text()
    assert '"merge-tree", "--write-tree"' in (ROOT / "kiro_worker/runner/repository/commit.py").read_text()
