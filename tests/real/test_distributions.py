"""What is downloaded is exactly what is pinned, from the index that pip and npm are configured for."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.real.distributions import Distribution, Unreachable, WrongContent, committed_files, fetch

FILES = {
    "vendor/toml/.git": "gitdir: ../../.git/modules/toml",
    "PKG-INFO": "Name: sums",
    "sums.egg-info/SOURCES.txt": "",
    "sums.py": "A = 1\n",
    "tests/test_sums.py": "",
}


def archive(files: dict[str, str]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as opened:
        for name, text in files.items():
            member = tarfile.TarInfo(f"sums-1.0/{name}")
            member.size = len(text)
            opened.addfile(member, io.BytesIO(text.encode()))
    return written.getvalue()


ARCHIVE = archive(FILES)
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()
INTEGRITY = f"sha512-{base64.b64encode(hashlib.sha512(ARCHIVE).digest()).decode()}"
PYTHON = Distribution("PyPI", "sums", "1.0", f"sha256-{SHA256}")
NODE = Distribution("npm", "sums", "1.0.0", INTEGRITY)


class Index:
    """A package index of both kinds with one project, on loopback. ``content`` is what it serves."""

    def __init__(self) -> None:
        self.content = ARCHIVE
        self.requests: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.requests.append(self.path)
                kind, body = index.answer(self.path)
                self.send_response(200 if body else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str) -> tuple[str, bytes]:
        if path in ("/simple/sums/", "/simple/pip/"):
            name = path.split("/")[2]
            return "text/html", f'<a href="/files/{name}-1.0.tar.gz">{name}-1.0.tar.gz</a>'.encode()
        if path == "/sums":
            pinned = f"sha512-{base64.b64encode(hashlib.sha512(self.content).digest()).decode()}"
            version = {
                "name": "sums",
                "version": "1.0.0",
                "dist": {"tarball": f"{self.address}/files/sums-1.0.0.tgz", "integrity": pinned},
            }
            document = {"name": "sums", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
            return "application/json", json.dumps(document).encode()
        return "application/octet-stream", self.content if path.startswith("/files/") else b""


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Index]:
    index = Index()
    thread = threading.Thread(target=index.server.serve_forever)
    thread.start()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.address}/simple")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("npm_config_registry", index.address)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield index
    index.server.shutdown()
    index.server.server_close()
    thread.join()


@pytest.mark.parametrize("distribution", [PYTHON, NODE], ids=["PyPI", "npm"])
def test_pinned_archive_is_downloaded_once(index: Index, tmp_path: Path, distribution: Distribution) -> None:
    path = fetch(distribution, tmp_path)
    assert path.read_bytes() == ARCHIVE
    asked = len(index.requests)
    assert asked
    assert fetch(distribution, tmp_path) == path
    assert len(index.requests) == asked


@pytest.mark.parametrize("distribution", [PYTHON, NODE], ids=["PyPI", "npm"])
def test_other_content_is_refused(index: Index, tmp_path: Path, distribution: Distribution) -> None:
    index.content = archive({**FILES, "sums.py": "A = 2\n"})
    with pytest.raises(WrongContent):
        fetch(distribution, tmp_path)
    assert not list(tmp_path.rglob("sums-1.0*"))


@pytest.mark.parametrize("distribution", [PYTHON, NODE], ids=["PyPI", "npm"])
def test_changed_cache_is_downloaded_again(index: Index, tmp_path: Path, distribution: Distribution) -> None:
    fetch(distribution, tmp_path).write_bytes(b"something else")
    assert fetch(distribution, tmp_path).read_bytes() == ARCHIVE


@pytest.mark.parametrize("distribution", [PYTHON, NODE], ids=["PyPI", "npm"])
def test_missing_network_is_told_from_wrong_content(
    index: Index, tmp_path: Path, distribution: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Port 9 (discard) is closed.
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(Unreachable):
        fetch(distribution, tmp_path)


def test_repository_has_no_file_that_a_release_adds(tmp_path: Path) -> None:
    path = tmp_path / "sums-1.0.tar.gz"
    path.write_bytes(ARCHIVE)
    assert set(committed_files(path)) == {"sums.py", "tests/test_sums.py"}
