"""The Kiro CLI is installed only from its pinned archive, by the build, which reports if that fails."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.agent.install import install_agent
from tests.support.worker import AGENT_KEY, BRANCH, Worker

PROGRAM = b"#!/bin/sh\necho kiro-cli 3.0.0\n"
WORKING_PROGRAM = b"""#!/bin/sh
cat > /dev/null
echo "NOTES = 1" >> shop/notes.py
kiro-cli-chat
"""
CLOSING_LINE = "#!/bin/sh\nprintf ' ▸ Credits: 0.42 • Time: 1m 5s\\n' >&2\n".encode()


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


def install(folder: Path, **environment: str) -> str:
    return install_agent("kiro", {"PATH": os.environ["PATH"], **environment}, folder)


def refused(folder: Path, **environment: str) -> BuildStopped:
    with pytest.raises(BuildStopped) as caught:
        install(folder, **environment)
    assert caught.value.outcome is Outcome.AGENT_UNAVAILABLE
    assert "kiroCliSha256" in caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    "archive",
    [
        tar_of({"kirocli/bin/kiro-cli": PROGRAM, "kirocli/bin/kiro-cli-chat": b"x", "kirocli/install.sh": b"exit 1"}),
        tar_of({"kirocli/bin/kiro-cli": PROGRAM, "kirocli/bin/kiro-cli-chat": b"x"}, "w:xz"),
        zip_of({"kirocli/bin/kiro-cli": PROGRAM, "kirocli/bin/kiro-cli-chat": b"x", "kirocli/install.sh": b"exit 1"}),
    ],
    ids=["tar.gz", "tar.xz", "zip"],
)
def test_pinned_archive_is_installed(serve: Any, tmp_path: Path, archive: bytes) -> None:
    folder = tmp_path / "bin"

    done = install(folder, KIRO_CLI_URL=serve(archive), KIRO_CLI_SHA256=hashlib.sha256(archive).hexdigest())

    assert done.startswith("installed kiro-cli, kiro-cli-chat into")
    assert sorted(path.name for path in folder.iterdir()) == ["kiro-cli", "kiro-cli-chat"]
    run = subprocess.run([folder / "kiro-cli"], capture_output=True, text=True, check=True)
    assert run.stdout == "kiro-cli 3.0.0\n"


def test_wrong_digest_is_refused(serve: Any, tmp_path: Path) -> None:
    url = serve(tar_of({"kirocli/bin/kiro-cli": PROGRAM}))

    assert "not the pinned 0000" in refused(tmp_path / "bin", KIRO_CLI_URL=url, KIRO_CLI_SHA256="0" * 64).reason
    assert not (tmp_path / "bin").exists()


@pytest.mark.parametrize(
    "name", ["../bin/../../kiro-cli", "/etc/kiro-cli", "kirocli/bin/.bashrc", "kirocli/lib/kiro-cli"]
)
def test_archive_cannot_choose_its_target(serve: Any, tmp_path: Path, name: str) -> None:
    archive = tar_of({name: PROGRAM})
    digest = hashlib.sha256(archive).hexdigest()

    stop = refused(tmp_path / "bin", KIRO_CLI_URL=serve(archive), KIRO_CLI_SHA256=digest)

    assert "contains no program bin/kiro-cli" in stop.reason
    assert [path.name for path in tmp_path.rglob("*")] == ["bin"]


@pytest.mark.parametrize(
    "archive", [b"<html>", tar_of({"kirocli/bin/kiro-cli": PROGRAM * 99})[:90]], ids=["HTML", "cut off"]
)
def test_invalid_archive_is_refused(serve: Any, tmp_path: Path, archive: bytes) -> None:
    digest = hashlib.sha256(archive).hexdigest()

    stop = refused(tmp_path / "bin", KIRO_CLI_URL=serve(archive), KIRO_CLI_SHA256=digest)

    assert "cannot be" in stop.reason


def test_missing_setting_is_named(tmp_path: Path) -> None:
    stop = refused(tmp_path, KIRO_CLI_URL="https://example.invalid/x", KIRO_CLI_SHA256="")

    assert "the CodeBuild project does not set KIRO_CLI_SHA256" in stop.reason


def test_address_without_http_is_refused(tmp_path: Path) -> None:
    stop = refused(tmp_path, KIRO_CLI_URL="file:///etc/passwd", KIRO_CLI_SHA256="0" * 64)

    assert "is not an http(s) URL" in stop.reason


def test_installed_cli_is_kept(tmp_path: Path) -> None:
    installed = tmp_path / "installed" / "kiro-cli"
    installed.parent.mkdir()
    installed.write_bytes(PROGRAM)
    installed.chmod(0o755)

    assert install(tmp_path / "bin", PATH=str(installed.parent)) == f"the Kiro CLI is already installed: {installed}"
    assert not (tmp_path / "bin").exists()


def test_build_installs_its_agent(worker: Worker, serve: Any) -> None:
    archive = tar_of({"kirocli/bin/kiro-cli": WORKING_PROGRAM, "kirocli/bin/kiro-cli-chat": CLOSING_LINE})
    worker.configure("kiro")

    finished = worker.run(KIRO_CLI_URL=serve(archive), KIRO_CLI_SHA256=hashlib.sha256(archive).hexdigest())

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("shop/notes.py", BRANCH) == "NOTES = 1\n" * 5
    assert "install the agent" in [phase["name"] for phase in finished.result["phases"]]


def test_build_without_pin_says_how_to_fix_it(worker: Worker) -> None:
    worker.configure("kiro")

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "AgentUnavailable")
    assert "does not set KIRO_CLI_URL and KIRO_CLI_SHA256" in finished.exports["OUTCOME_REASON"]
    assert "How to fix: make deploy ARGS='--context kiroCliUrl" in finished.exports["OUTCOME_REASON"]
    assert "kiroCliSha256" in finished.result["remedy"]
    assert (worker.head(), worker.checkpoint()) == (worker.commit, "")
    assert AGENT_KEY not in finished.log


@pytest.mark.parametrize(("url", "reason"), [("", "not the pinned"), ("http://127.0.0.1:1/x", "cannot be downloaded")])
def test_failed_installation_has_an_outcome(worker: Worker, serve: Any, url: str, reason: str) -> None:
    worker.configure("kiro")

    finished = worker.run(KIRO_CLI_URL=url or serve(tar_of({"bin/kiro-cli": PROGRAM})), KIRO_CLI_SHA256="0" * 64)

    assert (finished.exit_code, finished.outcome) == (1, "AgentUnavailable")
    assert reason in finished.exports["OUTCOME_REASON"]


def test_other_agents_need_no_installation(worker: Worker) -> None:
    finished = worker.run(KIRO_CLI_URL="http://127.0.0.1:1/x", KIRO_CLI_SHA256="0" * 64)

    assert finished.outcome == "Succeeded", finished.log
    assert "install the agent" not in [phase["name"] for phase in finished.result["phases"]]
