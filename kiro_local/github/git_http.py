"""Git over smart HTTP: ``git http-backend`` processes on the board's repositories, streamed in both directions.

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
    r"/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/(?P<endpoint>info/refs|git-upload-pack|git-receive-pack)",
    re.ASCII,
)
_SERVICES: Final = ("git-upload-pack", "git-receive-pack")
_CHUNK: Final = 1 << 16
_PROBE_LENGTH: Final = "4"


@dataclass(frozen=True)
class GitRequest:
    """One git request.

    ``endpoint`` is ``info/refs`` or the service itself. ``repository`` is ``None`` if no repository of that name
    exists. A ``probe`` is the empty request with which git checks whether it may send a large one.
    """

    repository: Repository | None
    name_with_owner: str
    service: str
    endpoint: str
    probe: bool = False

    @property
    def operation(self) -> str:
        """Its name in faults and the request log: the service, with ``-refs`` or ``-probe`` for a preceding request."""
        if self.probe:
            return f"{self.service}-probe"
        return self.service + ("-refs" if self.endpoint == "info/refs" else "")

    @property
    def writes(self) -> bool:
        return self.service == "git-receive-pack"


def parse_git_request(
    board: Board, method: str, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str]
) -> GitRequest | None:
    """The git request that a URL stands for, or ``None``. Its repository is looked up on the board, never on disk."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    endpoint = match["endpoint"]
    service = (query.get("service") or [""])[0] if endpoint == "info/refs" else endpoint
    if service not in _SERVICES or method != ("GET" if endpoint == "info/refs" else "POST"):
        return None
    name = f"{match['owner']}/{match['name']}"
    probe = method == "POST" and headers.get("content-length") == _PROBE_LENGTH
    return GitRequest(board.repository(name), name, service, endpoint, probe)


@dataclass
class Exchange:
    """A running ``git http-backend`` whose headers have been read: read ``body`` to its end, then ``close``."""

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
        """End the process, and return whether the whole request was read and the connection can be reused."""
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
    """Start ``git http-backend`` for an authorized request and read the headers of its answer."""
    process = subprocess.Popen(
        ["git", "http-backend"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**board.git_environment, **_cgi_variables(request, headers, user)},
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


def _cgi_variables(request: GitRequest, headers: Mapping[str, str], user: str) -> dict[str, str]:
    assert request.repository is not None  # noqa: S101  # an unknown repository was refused before
    is_refs = request.endpoint == "info/refs"
    variables = {
        "GIT_PROJECT_ROOT": str(request.repository.git.path),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{request.endpoint}",
        "QUERY_STRING": f"service={request.service}" if is_refs else "",
        "REQUEST_METHOD": "GET" if is_refs else "POST",
        "REMOTE_USER": user,
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": headers.get("content-type", ""),
    }
    if "content-length" in headers:
        variables["CONTENT_LENGTH"] = headers["content-length"]
    if headers.get("content-encoding") in ("gzip", "x-gzip"):
        variables["HTTP_CONTENT_ENCODING"] = "gzip"
    if request.repository.refuses_unadvertised:
        variables |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "uploadpack.allowAnySHA1InWant",
            "GIT_CONFIG_VALUE_0": "false",
        }
    elif re.fullmatch(r"version=\d", headers.get("git-protocol", "")):
        variables["GIT_PROTOCOL"] = headers["git-protocol"]
    return variables


def _feed(process: subprocess.Popen[bytes], body: Iterator[bytes], drained: threading.Event) -> None:
    """Read the request to its end, even after git has closed its input, so that the connection can be reused."""
    assert process.stdin is not None  # noqa: S101  # it is a pipe
    accepts_input = True
    try:
        for chunk in body:
            if accepts_input:
                try:
                    process.stdin.write(chunk)
                except BrokenPipeError:
                    accepts_input = False
        drained.set()
    except (OSError, ValueError):
        process.kill()  # the client disconnected in the middle of its request
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
