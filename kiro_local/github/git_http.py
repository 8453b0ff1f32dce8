"""Git over smart HTTP: real ``git http-backend`` processes over the board's repositories, streamed both ways.

https://git-scm.com/docs/git-http-backend
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kiro_local.github.board import Board
    from kiro_local.github.model import Repository

_PATH: Final = re.compile(
    r"/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/(?P<what>info/refs|git-upload-pack|git-receive-pack)", re.ASCII
)
_SERVICES: Final = ("git-upload-pack", "git-receive-pack")
_CHUNK: Final = 1 << 16
_LENGTH_OF_A_PROBE: Final = "4"


@dataclass(frozen=True)
class GitRequest:
    """``what`` is ``info/refs`` or the service itself. ``repository`` is ``None`` where there is no such one.

    A ``probe`` is the empty request with which git finds out whether it may send a large one.
    """

    repository: Repository | None
    name_with_owner: str
    service: str
    what: str
    probe: bool = False

    @property
    def operation(self) -> str:
        """Its name for faults and records: the service, with ``-refs`` or ``-probe`` for what comes before its work."""
        if self.probe:
            return f"{self.service}-probe"
        return self.service + ("-refs" if self.what == "info/refs" else "")

    @property
    def writes(self) -> bool:
        return self.service == "git-receive-pack"


def parse_git_request(
    board: Board, method: str, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str]
) -> GitRequest | None:
    """The git request that a URL is, or ``None``. It is looked up among the board's repositories, never on the disk."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    what = found["what"]
    service = (query.get("service") or [""])[0] if what == "info/refs" else what
    if service not in _SERVICES or method != ("GET" if what == "info/refs" else "POST"):
        return None
    name = f"{found['owner']}/{found['name']}"
    probe = method == "POST" and headers.get("content-length") == _LENGTH_OF_A_PROBE
    return GitRequest(board.repository(name), name, service, what, probe)


@dataclass
class Exchange:
    """An answer of ``git http-backend`` under way: read ``body`` to its end, then ``close``."""

    status: int
    headers: list[tuple[str, str]]
    process: subprocess.Popen[bytes]
    feeder: threading.Thread
    drained: threading.Event = field(default_factory=threading.Event)

    def body(self) -> Iterator[bytes]:
        assert self.process.stdout is not None  # noqa: S101  # it is a pipe
        while chunk := self.process.stdout.read(_CHUNK):
            yield chunk

    def close(self) -> bool:
        """Ends the process in any case; whether the whole request was read, so that the connection may go on."""
        if self.process.poll() is None and self.process.stdout is not None and not self.process.stdout.closed:
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.feeder.join(timeout=5)
        if self.process.stdout:
            self.process.stdout.close()
        self.process.wait()
        return self.drained.is_set()

    def abort(self) -> None:
        self.process.kill()


def start_exchange(
    board: Board, request: GitRequest, headers: Mapping[str, str], user: str, body: Iterator[bytes]
) -> Exchange:
    """Starts ``git http-backend`` for a request that was let in."""
    repository = request.repository
    assert repository is not None  # noqa: S101  # the server has refused an unknown one
    environment = {
        **board.git_environment,
        "GIT_PROJECT_ROOT": str(repository.git.path),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{request.what}",
        "QUERY_STRING": f"service={request.service}" if request.what == "info/refs" else "",
        "REQUEST_METHOD": "GET" if request.what == "info/refs" else "POST",
        "REMOTE_USER": user,
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": headers.get("content-type", ""),
    }
    if "content-length" in headers:
        environment["CONTENT_LENGTH"] = headers["content-length"]
    if headers.get("content-encoding") in ("gzip", "x-gzip"):
        environment["HTTP_CONTENT_ENCODING"] = "gzip"
    if re.fullmatch(r"version=\d", headers.get("git-protocol", "")):
        environment["GIT_PROTOCOL"] = headers["git-protocol"]
    process = subprocess.Popen(
        ["git", "http-backend"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    drained = threading.Event()
    feeder = threading.Thread(target=_feed, args=(process, body, drained), name="git-request-body", daemon=True)
    feeder.start()
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    status, answer_headers = 200, []
    while line := process.stdout.readline().rstrip(b"\r\n"):
        name, _, value = line.decode("latin-1").partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            answer_headers.append((name, value.strip()))
    return Exchange(status, answer_headers, process, feeder, drained)


def _feed(process: subprocess.Popen[bytes], body: Iterator[bytes], drained: threading.Event) -> None:
    """Reads the request to its end even where git has stopped listening, for the connection is used again."""
    assert process.stdin is not None  # noqa: S101  # it is a pipe
    listening = True
    try:
        for chunk in body:
            if listening:
                try:
                    process.stdin.write(chunk)
                except BrokenPipeError:
                    listening = False
        drained.set()
    except (OSError, ValueError):
        process.kill()  # the client went away in the middle of its request
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
