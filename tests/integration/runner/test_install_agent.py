"""Agents are installed only from their pinned archives, by the build, which reports if that fails."""

from __future__ import annotations

import base64
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

from kiro_worker.agent_pin import NPM_PACKAGES, npm_variables, parse_pin
from kiro_worker.errors import AgentNotPinned, BuildStopped
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


def package_of(files: dict[str, bytes]) -> tuple[bytes, str]:
    """Return an npm package and its integrity, with a script that must not run and links that must not be made."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        scripts = b'{"scripts": {"postinstall": "touch /tmp/ran"}, "type": "module"}'
        for name, content in {"package/package.json": scripts, **files}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o666
            tar.addfile(member, io.BytesIO(content))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo(f"package/link{kind.decode()}")
            link.type, link.linkname = kind, "/etc/passwd"
            tar.addfile(link)
    content = buffer.getvalue()
    return content, f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


LAYOUTS = {
    "claude": "package/claude",
    "codex": "package/vendor/aarch64-unknown-linux-musl/bin/codex",
    "gemini": "package/bundle/gemini.js",
}
PACKAGED = b"#!/bin/sh\ncat $(dirname $(readlink -f $0))/data/text\n"


def npm_pin(name: str, serve: Any, files: dict[str, bytes]) -> dict[str, str]:
    content, integrity = package_of(files)
    registry = serve(content).rpartition("/")[0]
    return {"npm_config_registry": registry, **dict(zip(npm_variables(name), ("9.9.9", integrity), strict=True))}


def npm_path(tmp_path: Path, node: str = "v22.1.0") -> str:
    """Return a PATH with a stand-in for Node, and without agents."""
    folder = tmp_path / "node"
    folder.mkdir(exist_ok=True)
    (folder / "node").write_text(f"#!/bin/sh\necho {node}\n")
    (folder / "node").chmod(0o755)
    return f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"


@pytest.mark.parametrize("name", LAYOUTS)
def test_pinned_package_is_installed(serve: Any, tmp_path: Path, name: str) -> None:
    program, folder = LAYOUTS[name], tmp_path / "bin"
    beside = f"{program.rpartition('/')[0]}/data/text"
    pin = npm_pin(name, serve, {program: PACKAGED, beside: b"from the package"})

    done = install_agent(name, {"PATH": npm_path(tmp_path), **pin}, folder)

    assert done.startswith(f"installed {name} 9.9.9 into")
    assert subprocess.run([folder / name], capture_output=True, text=True, check=True).stdout == "from the package"
    modes = {path.stat().st_mode & 0o022 for path in folder.rglob("*")}
    assert modes == {0}, "no one but the runner may write"
    assert not list(folder.rglob("link*"))
    assert [path.name for path in folder.rglob("*") if path.is_symlink()] == [name]


@pytest.mark.parametrize("name", LAYOUTS)
def test_wrong_integrity_is_refused(serve: Any, tmp_path: Path, name: str) -> None:
    pin = npm_pin(name, serve, {LAYOUTS[name]: PROGRAM})
    serve(package_of({LAYOUTS[name]: b"other"})[0])

    with pytest.raises(BuildStopped, match="not the pinned") as caught:
        install_agent(name, {"PATH": npm_path(tmp_path), **pin}, tmp_path / "bin")

    assert f"--context {name}Version=" in caught.value.remedy
    assert "dist.integrity" in caught.value.remedy
    assert not (tmp_path / "bin").exists()


@pytest.mark.parametrize("path", ["package/../../claude", "/package/claude", "package/./claude", "package//claude"])
def test_package_cannot_choose_its_target(serve: Any, tmp_path: Path, path: str) -> None:
    pin = npm_pin("claude", serve, {path: PROGRAM})

    with pytest.raises(BuildStopped, match="contains no program claude"):
        install_agent("claude", {"PATH": npm_path(tmp_path), **pin}, tmp_path / "bin")

    assert not list(tmp_path.rglob("claude"))


@pytest.mark.parametrize(("node", "reason"), [("v18.20.0", "has v18.20.0"), ("", "has none")])
def test_gemini_needs_node(serve: Any, tmp_path: Path, node: str, reason: str) -> None:
    pin = npm_pin("gemini", serve, {LAYOUTS["gemini"]: PROGRAM})

    with pytest.raises(BuildStopped, match=reason) as caught:
        install_agent("gemini", {"PATH": npm_path(tmp_path, node), **pin}, tmp_path / "bin")

    assert caught.value.outcome is Outcome.AGENT_UNAVAILABLE


def test_build_installs_configured_agent(worker: Worker, serve: Any) -> None:
    """The program runs as the agent's user, which can use the installation and not change it."""
    program = b"""#!/bin/sh
cat > /dev/null
own=$(readlink -f "$0")
[ -w "$own" ] && [ "$(id -u)" != 0 ] && [ -O "$own" ] || echo "NOTES = 1" >> shop/notes.py
echo '{"type":"result","is_error":false,"duration_ms":1000,"total_cost_usd":0.5,"result":"done"}'
"""
    worker.configure("claude")

    finished = worker.run(**npm_pin("claude", serve, {LAYOUTS["claude"]: program}))

    assert finished.outcome == "Succeeded", finished.log
    assert "installed claude 9.9.9 into" in finished.log
    assert finished.result["agent"]["credits"] == 3.0


def test_known_packages_have_both_architectures() -> None:
    for name in NPM_PACKAGES:
        pins = {parse_pin(name, {}, machine) for machine in ("x86_64", "aarch64")}
        assert {pin.url.startswith("/@") for pin in pins} == {True}
        assert all(len(pin.digest) == 128 for pin in pins)
        assert len(pins) == (1 if name == "gemini" else 2)


def test_registry_is_that_of_npm(serve: Any, tmp_path: Path) -> None:
    pin = npm_pin("codex", serve, {LAYOUTS["codex"]: PACKAGED})
    path, registry = npm_path(tmp_path), pin.pop("npm_config_registry")
    npm = tmp_path / "node" / "npm"
    npm.write_text(f'#!/bin/sh\n[ "$*" = "config get registry" ] && [ -z "$GITHUB_TOKEN" ] && echo {registry}/\n')
    npm.chmod(0o755)
    done = install_agent("codex", {"PATH": path, "GITHUB_TOKEN": "ghp_x", **pin}, tmp_path / "bin")
    assert done.startswith("installed codex 9.9.9 into")


def test_image_without_npm_needs_the_address_of_a_registry(serve: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BuildStopped, match="has no npm that knows a registry") as caught:
        install_agent("codex", {"PATH": str(empty)}, tmp_path / "bin")
    assert caught.value.outcome is Outcome.AGENT_UNAVAILABLE
    assert "npm_config_registry" in caught.value.remedy


def test_unknown_architecture_is_named() -> None:
    with pytest.raises(AgentNotPinned, match="Claude Code has no package for the architecture riscv64"):
        parse_pin("claude", {}, "riscv64")


@pytest.mark.parametrize("registry", ["file:///etc", "https://user:word@registry.example", "registry.example"])
def test_registry_is_an_address_without_password(registry: str) -> None:
    with pytest.raises(AgentNotPinned, match="npm_config_registry is not an http"):
        parse_pin("codex", {"npm_config_registry": registry}, "x86_64")
