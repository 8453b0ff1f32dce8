"""The time and bytes that checking out a large repository takes, against a plain ``git clone`` from the same server.

Both go through the same proxy, which counts bytes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bench.figure import Clock, Figure, megabytes, seconds
from bench.history import BRANCH, large_repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.runner.repository.checkout import check_out
from kiro_worker.runner.request import BuildRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS: Final = 3
TOKEN: Final = "ghp_bench"  # noqa: S105  # for the stand-in only
EXECUTION: Final = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-bench:run-1"


def measure(cache: Path) -> list[Figure]:
    """Return the checkout's figures. The repository is created in ``cache`` the first time."""
    source = large_repository(cache)
    ours, plain = Clock(), Clock()
    with TemporaryDirectory(prefix="bench-") as temporary, StandInGitHub() as github:
        folder = Path(temporary)
        github.add_token(TOKEN)
        repository = github.board.add_repository("acme/large")
        commit = (source / "refs" / "heads" / BRANCH).read_text().strip()
        (repository.git.path / "objects" / "info").mkdir(exist_ok=True)
        (repository.git.path / "objects" / "info" / "alternates").write_text(f"{source / 'objects'}\n")
        for name in ("main", BRANCH):
            repository.git.run("update-ref", f"refs/heads/{name}", commit)
        with CountingProxy(github.git_url) as proxy:
            for _ in range(RUNS):
                with ours.running():
                    _check_out(commit, folder / "ours", proxy.url)
                our_bytes = proxy.take()
                with plain.running():
                    _clone(folder / "plain", proxy.url)
                plain_bytes = proxy.take()
                for done in ("ours", "plain"):
                    shutil.rmtree(folder / done)
    time, size = ours.seconds / plain.seconds, our_bytes / plain_bytes
    return [
        Figure("checkout, time against git clone", seconds(ours.seconds), seconds(plain.seconds), time, at_most=0.1),
        Figure("checkout, bytes", megabytes(our_bytes), megabytes(plain_bytes), size, at_most=0.1),
    ]


def _check_out(commit: str, workspace: Path, url: str) -> None:
    request = BuildRequest(
        "acme/large", BRANCH, commit, ".kiro/specs/feature-large", 1, Lease("bench", EXECUTION, 1, 0)
    )
    checkout = check_out(request, workspace, url, GitCredentials("git", TOKEN), os.environ)
    _require_files(checkout.folder)


def _clone(folder: Path, url: str) -> None:
    parts = urlsplit(url)
    address = f"{parts.scheme}://git:{TOKEN}@{parts.netloc}/acme/large.git"
    subprocess.run(["git", "clone", "--quiet", "--branch", BRANCH, address, folder], check=True)
    _require_files(folder)


def _require_files(folder: Path) -> None:
    if len(list(folder.glob("part-*/file-*.bin"))) != 200:
        raise ValueError(f"{folder} is not the whole checkout")


class CountingProxy:
    """A proxy that forwards connections to a server and counts the bytes in both directions."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._counting = threading.Lock()
        self._bytes = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def take(self) -> int:
        """Return the bytes since the last call."""
        with self._counting:
            taken, self._bytes = self._bytes, 0
        return taken

    def __enter__(self) -> CountingProxy:
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Closing the socket while the thread accepts would let the thread accept on the next socket of that number.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            for client in self._clients():
                server = socket.create_connection(self._server)
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _clients(self) -> Iterator[socket.socket]:
        while True:
            yield self._listener.accept()[0]

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 18):
                other.sendall(data)
                with self._counting:
                    self._bytes += len(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)
