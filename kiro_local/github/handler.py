"""Routes one HTTP request: to git or LFS, to GraphQL, to REST, to the fault switches, or to a page of the web view."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from kiro_local.github import pages
from kiro_local.github.admin_handler import answer_admin
from kiro_local.github.base_handler import BaseHandler
from kiro_local.github.git_handler import answer_git
from kiro_local.github.git_http import parse_git_request
from kiro_local.github.graphql_handler import answer_graphql
from kiro_local.github.lfs_http import parse_lfs_request
from kiro_local.github.rest_handler import answer_compare, parse_compare_request

_GRAPHQL_PATHS: Final = ("/graphql", "/api/graphql")
_ADMIN_PREFIX: Final = "/_stand_in/"


class Handler(BaseHandler):
    """Passes each request to the function that answers it."""

    def do_GET(self) -> None:  # noqa: N802  # http.server looks it up by this name
        self._route()

    def do_POST(self) -> None:  # noqa: N802  # http.server looks it up by this name
        self._route()

    def do_PUT(self) -> None:  # noqa: N802  # http.server looks it up by this name
        self._route()

    def do_DELETE(self) -> None:  # noqa: N802  # http.server looks it up by this name
        self._route()

    def _route(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        board = self.backend.board
        request = parse_git_request(
            board, self.command, path, parse_qs(url.query), self.lower_headers()
        ) or parse_lfs_request(board, self.command, path)
        if request is not None:
            answer_git(self, request)
        elif comparison := parse_compare_request(self.command, url.path, parse_qs(url.query)):
            answer_compare(self, comparison)
        elif path in _GRAPHQL_PATHS and self.command == "POST":
            answer_graphql(self)
        elif path.startswith(_ADMIN_PREFIX):
            answer_admin(self, path.removeprefix(_ADMIN_PREFIX))
        elif self.command == "GET":
            self._send_page(path)
        else:
            self.send_json(404, {"message": "Not Found"})

    def _send_page(self, path: str) -> None:
        page = pages.page(self.backend.board, path)
        status, text = (200, page) if page else (404, pages.missing())
        self.send_body(status, text.encode(), "text/html; charset=utf-8", pages.HEADERS)
