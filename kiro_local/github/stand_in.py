"""The stand-in GitHub as one object: start it, fill its board, use its two URLs, stop it.

::

    with StandInGitHub() as github:
        github.add_token("a-token", "worker")
        repository = github.board.add_repository("acme/shop")
        …
        Configuration(githubApiUrl=github.graphql_url, gitUrl=github.git_url, …)
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Self

from kiro_local.github.backend import Backend
from kiro_local.github.board import Board
from kiro_local.github.graphql_api import GraphQLApi
from kiro_local.github.handler import Handler
from kiro_local.github.server import Server
from kiro_local.github.tokens import CLASSIC_SCOPES, POINTS_PER_HOUR, Budget, Token

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class StandInGitHub:
    """A GitHub on the loopback interface.

    ``directory`` holds the repositories; the default is a temporary directory that ``stop`` removes. ``port`` 0 takes
    any free port. With ``before_ghes_3_20``, ``ProjectV2.items`` lacks ``query`` and ``archivedStates``.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int = 0,
        before_ghes_3_20: bool = False,
        points_per_hour: int = POINTS_PER_HOUR,
    ) -> None:
        self._temporary = None if directory else Path(tempfile.mkdtemp(prefix="stand-in-github-"))
        if self._temporary:
            # Also covers an object that is never started or never stopped.
            weakref.finalize(self, shutil.rmtree, self._temporary, ignore_errors=True)
        self._port = port
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self.board = Board(directory or self._temporary or Path())
        api = GraphQLApi(self.board, Budget(points_per_hour), before_ghes_3_20=before_ghes_3_20)
        self._backend = Backend(self.board, api)
        self.tokens = self._backend.tokens
        self.faults = self._backend.faults
        self.requests = self._backend.requests

    def start(self) -> Self:
        """Listen on 127.0.0.1. Raises :class:`OSError` if the port is taken."""
        self._server = Server(self._backend, Handler, self._port)
        self.board.base_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="stand-in-github", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop the server, its connections and its git processes, and remove the temporary directory, if any."""
        if self._server and self._thread:
            self._server.stop()
            self._thread.join(timeout=10)
            self._server = self._thread = None
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    @property
    def on_request(self) -> Callable[[str], None]:
        """The hook that :class:`Backend` calls before it handles a request."""
        return self._backend.on_request

    @on_request.setter
    def on_request(self, hook: Callable[[str], None]) -> None:
        self._backend.on_request = hook

    @property
    def base_url(self) -> str:
        """The address of the start page of the web view."""
        return self.board.base_url

    @property
    def graphql_url(self) -> str:
        return f"{self.board.base_url}/graphql"

    @property
    def git_url(self) -> str:
        """The address to which a repository's ``/<owner>/<name>.git`` is appended."""
        return self.board.base_url

    def add_token(self, value: str, login: str = "worker", scopes: tuple[str, ...] | None = CLASSIC_SCOPES) -> Token:
        """Add a token for GraphQL and git. ``scopes=None`` makes it a fine-grained one."""
        return self.tokens.add(value, login, scopes)
