"""The Kiro CLI is installed only from its pinned archive."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

PROGRAM = b"#!/bin/sh\necho kiro-cli 3.0.0\n"
PARAMETER = "/kiro-worker/test/github-project-config"
ROOT = Path(__file__).parents[3]


def tar_of(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]  # the mode is a parameter
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], str]]:
    """Return a function that serves its argument on loopback and returns the address."""
    content = b""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def serve(served: bytes) -> str:
        nonlocal content
        content = served
        return f"http://127.0.0.1:{server.server_port}/kirocli-aarch64-linux"

    yield serve
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def install(aws: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def configure(agent: Any) -> None:
        document = {
            "organization": "a",
            "repository": "b",
            "projectNumber": 1,
            "targetStatusColumn": "c",
            "agent": agent,
        }
        boto3.client("ssm", **aws).put_parameter(  # type: ignore[call-overload]  # arguments by name
            Name=PARAMETER, Type="String", Overwrite=True, Value=json.dumps(document)
        )

    def install(agent: Any = "kiro", **environment: str) -> subprocess.CompletedProcess[str]:
        configure(agent)
        return subprocess.run(
            [sys.executable, "-m", "kiro_worker.runner.agent.install", "--into", str(tmp_path / "bin")],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "AWS_ENDPOINT_URL": aws["endpoint_url"],
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "CONFIG_PARAMETER_NAME": PARAMETER,
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
        )

    return install


@pytest.mark.parametrize(
    "archive",
    [
        tar_of({"kirocli/bin/kiro-cli": PROGRAM, "kirocli/bin/kiro-cli-chat": b"x", "kirocli/install.sh": b"exit 1"}),
        tar_of({"kirocli/bin/kiro-cli": PROGRAM, "kirocli/bin/kiro-cli-chat": b"x"}, "w:xz"),
        zip_of({"kirocli/bin/kiro-cli": PROGRAM, "kirocli/bin/kiro-cli-chat": b"x", "kirocli/install.sh": b"exit 1"}),
    ],
    ids=["tar.gz", "tar.xz", "zip"],
)
def test_pinned_archive_is_installed(install: Any, serve: Any, tmp_path: Path, archive: bytes) -> None:
    done = install(KIRO_CLI_URL=serve(archive), KIRO_CLI_SHA256=hashlib.sha256(archive).hexdigest())

    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "bin").iterdir()) == ["kiro-cli", "kiro-cli-chat"]
    run = subprocess.run([tmp_path / "bin" / "kiro-cli"], capture_output=True, text=True, check=True)
    assert run.stdout == "kiro-cli 3.0.0\n"


def test_wrong_digest_is_refused(install: Any, serve: Any, tmp_path: Path) -> None:
    done = install(KIRO_CLI_URL=serve(tar_of({"kirocli/bin/kiro-cli": PROGRAM})), KIRO_CLI_SHA256="0" * 64)

    assert done.returncode == 1
    assert "not the pinned 0000" in done.stderr
    assert not (tmp_path / "bin").exists()


@pytest.mark.parametrize(
    "name", ["../bin/../../kiro-cli", "/etc/kiro-cli", "kirocli/bin/.bashrc", "kirocli/lib/kiro-cli"]
)
def test_archive_cannot_choose_its_target(install: Any, serve: Any, tmp_path: Path, name: str) -> None:
    archive = tar_of({name: PROGRAM})

    done = install(KIRO_CLI_URL=serve(archive), KIRO_CLI_SHA256=hashlib.sha256(archive).hexdigest())

    assert done.returncode == 1
    assert "contains no program bin/kiro-cli" in done.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["bin"]


def test_invalid_archive_is_refused(install: Any, serve: Any) -> None:
    done = install(KIRO_CLI_URL=serve(b"<html>"), KIRO_CLI_SHA256=hashlib.sha256(b"<html>").hexdigest())

    assert done.returncode == 1
    assert "cannot be read" in done.stderr


def test_missing_setting_has_remedy(install: Any) -> None:
    done = install(KIRO_CLI_URL="https://example.invalid/x", KIRO_CLI_SHA256="")

    assert done.returncode == 1
    assert "the CodeBuild project does not set KIRO_CLI_SHA256" in done.stderr
    assert "kiroCliSha256" in done.stderr
    assert "Traceback" not in done.stderr


def test_address_without_http_is_refused(install: Any) -> None:
    done = install(KIRO_CLI_URL="file:///etc/passwd", KIRO_CLI_SHA256="0" * 64)

    assert done.returncode == 1
    assert "is not an http(s) URL" in done.stderr


def test_other_agents_need_no_cli(install: Any) -> None:
    done = install(agent={"command": ["tool"]})

    assert (done.returncode, done.stdout) == (0, "The configured agent is command: the Kiro CLI is not needed.\n")


def test_installed_cli_is_kept(install: Any, tmp_path: Path) -> None:
    installed = tmp_path / "installed" / "kiro-cli"
    installed.parent.mkdir()
    installed.write_bytes(PROGRAM)
    installed.chmod(0o755)

    done = install(PATH=f"{installed.parent}{os.pathsep}{os.environ['PATH']}")

    assert (done.returncode, done.stdout) == (0, f"The Kiro CLI is already installed: {installed}\n")
