"""GitHub in memory, at the HTTP edge: a gql transport that answers the worker's operations without a server.

The worker's own session runs on top of it, so a test in milliseconds covers the queries, the parsing and the rules. It
knows one board, one repository answer and the comments; ``kiro_local.github`` is the complete stand-in. :func:`served`
puts it behind a URL, for code that opens its own session.
"""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, Final

from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportServerError
from graphql import ExecutionResult
from multidict import CIMultiDict, CIMultiDictProxy

from kiro_worker.config.model import Configuration
from kiro_worker.github.client import GitHubSession

Answer = dict[str, Any]

STATUSES: Final = ("Ready", "In Progress", "In Review", "Blocked", "Failed", "Elsewhere")


def configuration(**changes: Any) -> Configuration:
    """The board ``acme/1`` with a separate status for each move."""
    minimal = {
        "organization": "acme",
        "repository": "shop",
        "projectNumber": 1,
        "targetStatusColumn": "Ready",
        "failedStatus": "Failed",
    }
    return Configuration.model_validate(minimal | changes)


@dataclass
class FakeCard:
    """A card of the board; ``content`` is GitHub's JSON, ``None`` for content that the token may not see."""

    id: str
    status: str | None = "Ready"
    branch: str | None = "feature/x"
    archived: bool = False
    status_updated_at: Any = "2026-01-02T03:04:05Z"
    spec: str | None = None
    priority: str | None = None
    content: Answer | None = field(default_factory=lambda: issue())

    def answer(self) -> Answer:
        return {
            "id": self.id,
            "isArchived": self.archived,
            "status": self._status() if self.status is not None else None,
            "branch": {"text": self.branch} if self.branch is not None else None,
            "spec": {"text": self.spec} if self.spec is not None else None,
            "priority": {"name": self.priority} if self.priority is not None else None,
            "content": copy.deepcopy(self.content),
        }

    def _status(self) -> Answer:
        return {"name": self.status, "optionId": f"option-{self.status}", "updatedAt": self.status_updated_at}


def issue(content_id: str = "I_1", **changes: Any) -> Answer:
    return {
        "__typename": "Issue",
        "id": content_id,
        "number": 1,
        "title": "An issue",
        "url": "https://github.example/acme/shop/issues/1",
        "issueState": "OPEN",
        "repository": {"nameWithOwner": "acme/shop"},
        "linkedBranches": {"nodes": []},
    } | changes


def pull_request_content(content_id: str = "PR_1", **changes: Any) -> Answer:
    return {
        "__typename": "PullRequest",
        "id": content_id,
        "number": 7,
        "title": "A pull request",
        "url": "https://github.example/acme/shop/pull/7",
        "repository": {"nameWithOwner": "acme/shop"},
        "headRefName": "feature/x",
    } | changes


def draft() -> Answer:
    return {"__typename": "DraftIssue", "id": "DI_1", "title": "A draft"}


def spec_file(name: str, **changes: Any) -> Answer:
    blob = {"__typename": "Blob", "byteSize": 10, "isBinary": False}
    return {"name": name, "mode": 0o100644, "type": "blob", "object": blob} | changes


def ready_repository(branch: str = "feature/x", **changes: Any) -> Answer:
    """The answer about a branch with everything that a build needs."""
    tasks = {"__typename": "Blob", "byteSize": 10, "isBinary": False, "isTruncated": False, "text": "- [ ] 1. Do it"}
    pull_request = {
        "id": "PR_1",
        "number": 7,
        "url": "https://github.example/acme/shop/pull/7",
        "isCrossRepository": False,
        "isDraft": False,
        "mergeable": "MERGEABLE",
        "authorAssociation": "MEMBER",
        "headRefOid": "a" * 40,
        "baseRefName": "main",
    }
    return {
        "nameWithOwner": "acme/shop",
        "isArchived": False,
        "defaultBranchRef": default_branch(),
        "ref": {"name": branch, "target": {"__typename": "Commit", "oid": "a" * 40}},
        "specFolder": {
            "__typename": "Tree",
            "entries": [spec_file("requirements.md"), spec_file("design.md"), spec_file("tasks.md")],
        },
        "tasks": tasks,
        "closedPullRequests": {"nodes": []},
        "pullRequests": {"nodes": [pull_request]},
    } | changes


def default_branch(file: str | Answer | None = None, misnamed: Answer | None = None) -> Answer:
    """The answer about the default branch, perhaps with the repository's own file: its text, or the whole entry."""
    if isinstance(file, str):
        blob = {"__typename": "Blob", "byteSize": len(file), "isBinary": False, "isTruncated": False, "text": file}
        file = {"mode": 0o100644, "type": "blob", "object": blob}
    return {"name": "main", "target": {"__typename": "Commit", "oid": "d" * 40, "file": file, "misnamed": misnamed}}


def spec_roots(on_branch: Sequence[str | Answer], on_base: Sequence[str] | None = ()) -> Answer:
    """The answer about the root of the specs. A name stands for a folder; the base can be missing."""

    def root(names: Sequence[str | Answer]) -> Answer:
        folder = {"mode": 0o40000, "type": "tree"}
        entries = [folder | ({"name": name} if isinstance(name, str) else name) for name in names]
        return {"__typename": "Tree", "entries": entries}

    base = None if on_base is None else {"name": "main"}
    return {"onBranch": root(on_branch), "base": base, "onBase": root(on_base) if on_base else None}


def reviewed_pull_request(**changes: Any) -> Answer:
    """The answer about the pull request after the build."""
    return {
        "__typename": "PullRequest",
        "number": 7,
        "state": "OPEN",
        "isDraft": False,
        "mergeable": "MERGEABLE",
        "baseRefName": "main",
        "baseRef": {"compare": {"behindBy": 0}},
    } | changes


@dataclass(frozen=True)
class Request:
    """An operation that the worker sent."""

    name: str
    variables: Answer


@dataclass
class FakeComment:
    id: str
    body: str
    is_own: bool = True

    @property
    def url(self) -> str:
        return f"https://github.example/comments/{self.id}"


@dataclass
class Board:
    """What GitHub holds. ``comments`` has a key per issue and pull request that exists.

    ``specs`` are the spec folders that are not named after the branch, and ``mergeable`` the answers about conflicts.
    ``history`` are the commits of the branch, the newest first, and ``before`` those that a run started from.
    ``comparison`` is what REST answers about the branch, ``None`` for no answer, and ``versions`` what GraphQL answers
    about its files.
    """

    cards: list[FakeCard] = field(default_factory=list)
    owner: str = "acme"
    number: int = 1
    statuses: tuple[str, ...] = STATUSES
    priorities: tuple[str, ...] = ()
    repository: Answer | None = None
    spec_roots: Answer | None = None
    specs: dict[str, Answer] = field(default_factory=dict)
    mergeable: list[str] = field(default_factory=list)
    comments: dict[str, list[FakeComment]] = field(default_factory=dict)
    reviewed: Answer | None = field(default_factory=reviewed_pull_request)
    history: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    comparison: Any = None
    versions: Answer | None = None

    def card(self, card_id: str) -> FakeCard:
        return next(card for card in self.cards if card.id == card_id)


class FakeGitHub(AIOHTTPTransport):
    """The transport. ``errors`` are GraphQL errors by operation, ``outages`` what HTTP does instead of an answer."""

    def __init__(self, board: Board | None = None) -> None:
        super().__init__(url="https://github.invalid/graphql")
        self.board = board or Board()
        self.session: Any = _FakeRest(self)
        self.requests: list[Request] = []
        self.rest: list[str] = []
        self.errors: dict[str, Answer] = {}
        self.outages: dict[str, Exception] = {}
        self._odd_errors: Any = None
        self.page_size = 20
        self.answer_with_headers()

    def answer_with_headers(self, **headers: str) -> None:
        """The HTTP headers of every answer from now on; underscores stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.response_headers = CIMultiDictProxy(CIMultiDict(named))

    def answer_with_errors(self, errors: object) -> None:
        """Answer every request with these ``errors``, whatever their shape."""
        self._odd_errors = errors

    async def connect(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        """Nothing to close."""

    async def execute(
        self, request: GraphQLRequest, *, extra_args: dict[str, Any] | None = None, upload_files: bool = False
    ) -> ExecutionResult:
        name = request.document.definitions[0].name.value  # type: ignore[attr-defined]  # an operation, never a fragment
        variables = dict(request.variable_values or {})
        self.requests.append(Request(name, variables))
        if name in self.outages:
            raise self.outages[name]
        if self._odd_errors is not None:
            return ExecutionResult(data=None, errors=self._odd_errors)
        if name in self.errors:
            return ExecutionResult(data=None, errors=[self.errors[name]])  # type: ignore[list-item]  # as gql has it
        answers: dict[str, Callable[[Answer], Answer]] = {
            "FetchWorkItem": self._fetch,
            "FetchPage": self._fetch,
            "ReadCard": self._read_card,
            "SetStatus": self._set_status,
            "ValidateWorkItem": lambda _: {"repository": copy.deepcopy(self.board.repository)},
            "ReadRepositoryFile": lambda _: {"repository": copy.deepcopy(self.board.repository)},
            "FindSpec": lambda _: {"repository": copy.deepcopy(self.board.spec_roots)},
            "ReadSpec": self._read_spec,
            "CompareFiles": lambda _: {"repository": copy.deepcopy(self.board.versions)},
            "ReadMergeable": lambda _: {"node": {"__typename": "PullRequest", "mergeable": self._next_mergeable()}},
            "ReadPushed": self._read_pushed,
            "FindComments": self._find_comments,
            "AddComment": self._add_comment,
            "UpdateComment": self._update_comment,
            "DeleteComment": self._delete_comment,
            "ReadPullRequest": lambda _: {"node": copy.deepcopy(self.board.reviewed)},
        }
        return ExecutionResult(data=answers[name](variables))

    def sent(self, *names: str) -> list[str]:
        """The names of the operations that were sent, in order; only those in ``names`` when there are any."""
        return [request.name for request in self.requests if not names or request.name in names]

    @asynccontextmanager
    async def open_session(self) -> AsyncIterator[GitHubSession]:
        """The worker's session on top of this transport, which never really waits."""

        async def no_wait(_seconds: float) -> None:
            return None

        async with Client(transport=self) as session:
            yield GitHubSession(session, self, sleep=no_wait)

    def _project(self) -> Answer:
        def single_select(field_id: str, name: str, options: Sequence[str]) -> Answer:
            named = [{"id": f"option-{option}", "name": option} for option in options]
            return {"__typename": "ProjectV2SingleSelectField", "id": field_id, "name": name, "options": named}

        priorities = self.board.priorities
        return {
            "id": "PROJECT",
            "title": "Work",
            "closed": False,
            "statusField": single_select("FIELD", "Status", self.board.statuses),
            "priorityField": single_select("PRIORITY", "Priority", priorities) if priorities else None,
        }

    def _fetch(self, variables: Answer) -> Answer:
        first = int(variables.get("after") or 0)
        cards = self.board.cards[first : first + self.page_size]
        page = {"hasNextPage": first + len(cards) < len(self.board.cards), "endCursor": str(first + len(cards))}
        nodes = [card.answer() for card in cards]
        items = {"totalCount": len(self.board.cards), "pageInfo": page, "nodes": nodes}
        return {"organization": {"projectV2": self._project() | {"items": items}}}

    def _read_card(self, variables: Answer) -> Answer:
        found = [card for card in self.board.cards if card.id == variables["itemId"]]
        if not found:
            return {"node": None}
        project = self._project() | {"number": self.board.number, "owner": {"login": self.board.owner}}
        return {"node": found[0].answer() | {"__typename": "ProjectV2Item", "project": project}}

    def _set_status(self, variables: Answer) -> Answer:
        self.board.card(variables["itemId"]).status = variables["optionId"].removeprefix("option-")
        return {"updateProjectV2ItemFieldValue": {"projectV2Item": {"id": variables["itemId"]}}}

    def _read_spec(self, variables: Answer) -> Answer:
        folder = variables["specFolder"].partition(":")[2]
        return {"repository": copy.deepcopy(self.board.specs.get(folder, {"specFolder": None, "tasks": None}))}

    def _next_mergeable(self) -> str:
        return self.board.mergeable.pop(0) if self.board.mergeable else "UNKNOWN"

    def _read_pushed(self, variables: Answer) -> Answer:
        def recent(commits: list[str]) -> Answer | None:
            return (
                {"__typename": "Commit", "history": {"nodes": [{"oid": oid} for oid in commits]}} if commits else None
            )

        repository: Answer = {"ref": {"target": recent(self.board.history)} if self.board.history else None}
        return {"repository": repository | ({"before": recent(self.board.before)} if variables["hasBefore"] else {})}

    def _find_comments(self, variables: Answer) -> Answer:
        comments = self.board.comments.get(variables["subjectId"])
        if comments is None:
            return {"node": None}
        before = str(variables["before"] or "")
        # A test that changes answers sends any text as a cursor.
        last = int(before) if before.isdecimal() else len(comments) if not before else 0
        first = max(0, last - self.page_size)
        nodes = [
            {"id": comment.id, "url": comment.url, "body": comment.body, "viewerDidAuthor": comment.is_own}
            for comment in comments[first:last]
        ]
        page = {"hasPreviousPage": first > 0, "startCursor": str(first)}
        return {"node": {"__typename": "Issue", "comments": {"pageInfo": page, "nodes": nodes}}}

    def _add_comment(self, variables: Answer) -> Answer:
        comments = self.board.comments[variables["subjectId"]]
        added = FakeComment(f"{variables['subjectId']}-{len(comments) + 1}", variables["body"])
        comments.append(added)
        return {"addComment": {"commentEdge": {"node": {"id": added.id, "url": added.url}}}}

    def _delete_comment(self, variables: Answer) -> Answer:
        for comments in self.board.comments.values():
            comments[:] = [comment for comment in comments if comment.id != variables["commentId"]]
        return {"deleteIssueComment": {"clientMutationId": None}}

    def _update_comment(self, variables: Answer) -> Answer:
        [updated] = [
            comment
            for comments in self.board.comments.values()
            for comment in comments
            if comment.id == variables["commentId"]
        ]
        updated.body = variables["body"]
        return {"updateIssueComment": {"issueComment": {"id": updated.id, "url": updated.url}}}


class _FakeRest:
    """The transport's HTTP session, as far as the worker uses it for the REST API."""

    def __init__(self, github: FakeGitHub) -> None:
        self._github = github

    @asynccontextmanager
    async def get(self, url: str, **_: Any) -> AsyncIterator[Any]:
        """The comparison, in two pieces."""
        self._github.rest.append(url)
        body = json.dumps(self._github.board.comparison).encode()

        async def pieces(_size: int) -> AsyncIterator[bytes]:
            for piece in (body[:10], body[10:]):
                yield piece

        yield SimpleNamespace(
            status=404 if self._github.board.comparison is None else 200, content=SimpleNamespace(iter_chunked=pieces)
        )


@contextmanager
def served(github: FakeGitHub) -> Iterator[str]:
    """Yield the URL of a server on the loopback that answers GraphQL requests as ``github`` does, and fails like it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request = GraphQLRequest(document["query"], variable_values=document.get("variables"))
            try:
                result = asyncio.run(github.execute(request))
            except TransportServerError as outage:
                self._answer(outage.code or 500, str(outage))
                return
            self._answer(200, json.dumps({"data": result.data, **({"errors": result.errors} if result.errors else {})}))

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            for name, value in (github.response_headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/graphql"
        server.shutdown()
        thread.join()
