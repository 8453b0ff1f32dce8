"""The stand-in GitHub as one object: start it, fill its board, hand out its two URLs, stop it.

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

from kiro_local.github.board import Board
from kiro_local.github.faults import Faults
from kiro_local.github.graphql_api import GraphQLApi
from kiro_local.github.records import Records
from kiro_local.github.server import Server
from kiro_local.github.tokens import CLASSIC_SCOPES, POINTS_AN_HOUR, Budget, Token, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class StandInGitHub:
    """``directory`` holds the repositories; without one a temporary directory lives as long as the server.

    ``port`` 0 is any free one. ``before_ghes_3_20`` has ``ProjectV2.items`` without ``query`` and ``archivedStates``.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int = 0,
        before_ghes_3_20: bool = False,
        points_an_hour: int = POINTS_AN_HOUR,
    ) -> None:
        self._temporary = None if directory else Path(tempfile.mkdtemp(prefix="stand-in-github-"))
        if self._temporary:
            # Also for one that is never started, or never stopped.
            weakref.finalize(self, shutil.rmtree, self._temporary, ignore_errors=True)
        self._port = port
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self.board = Board(directory or self._temporary or Path())
        self.tokens = Tokens()
        self.faults = Faults()
        self.requests = Records()
        #: Called with the operation of each GraphQL and git request that has arrived and of which nothing was done yet,
        #: in the request's own thread. :class:`ConnectionError` ends the request there.
        self.on_request: Callable[[str], None] = lambda _operation: None
        self.api = GraphQLApi(self.board, Budget(points_an_hour), before_ghes_3_20=before_ghes_3_20)

    def start(self) -> Self:
        """Listens on 127.0.0.1 from now on; :class:`OSError` where the port is taken."""
        self._server = Server(self, self._port)
        self.board.base_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="stand-in-github", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends the server, its connections and its git processes, and removes the directory where it is an own one."""
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
    def base_url(self) -> str:
        """Where the pages for people begin."""
        return self.board.base_url

    @property
    def graphql_url(self) -> str:
        return f"{self.board.base_url}/graphql"

    @property
    def git_url(self) -> str:
        """What a repository's ``/<owner>/<name>.git`` comes after."""
        return self.board.base_url

    def add_token(self, value: str, login: str = "worker", scopes: tuple[str, ...] | None = CLASSIC_SCOPES) -> Token:
        """A token that GraphQL and git take from now on. ``scopes=None`` is a fine-grained one."""
        return self.tokens.add(value, login, scopes)
