"""Answers that do not follow GitHub's schema: each is one named error, or a card that the token may not see."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from gql import GraphQLRequest
from graphql import ExecutionResult
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.errors import GitHubAnswerInvalid, KiroWorkerError
from kiro_worker.github.board import read_card
from kiro_worker.github.client import GitHubSession
from kiro_worker.github.comments import put_comment
from kiro_worker.github.labels import read_labeling
from kiro_worker.github.next_card import Queue, fetch_next_card
from kiro_worker.github.pushed import pushed_commit
from kiro_worker.github.readiness import validate_branch
from kiro_worker.github.repository_file import read_repository_settings
from kiro_worker.models import Work
from kiro_worker.records.runs import RunRecord
from tests.support.fake_github import (
    Board,
    FakeCard,
    FakeComment,
    FakeGitHub,
    configuration,
    issue,
    pull_request_content,
    ready_repository,
    spec_roots,
)

ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
RUN = RunRecord(ARN, "acme/shop", "feature/x", "ONE", frozenset({"c" * 40}))
WORK = Work("acme/shop", "feature/x", "a" * 40, ".kiro/specs/feature-x", 7, "PR_1", "https://x", "main", 1, "d" * 40)
LABELS = {
    "repository": {
        "pullRequest": {
            "labels": {"nodes": [{"id": "L_1", "name": "reviewed"}]},
            "timelineItems": {"nodes": [{"label": {"id": "L_1"}, "actor": {"__typename": "User", "login": "ann"}}]},
        }
    },
    "viewer": {"login": "bot"},
}
PERMISSION = {"repository": {"collaborators": {"edges": [{"permission": "WRITE", "node": {"login": "ann"}}]}}}
ODD: list[Any] = [..., None, {}, [], [None], "", "text", 0, -1, 10**30, 1.5, True, {"nodes": None}, {"nodes": [None]}]
READERS: dict[str, Callable[[GitHubSession], Awaitable[Any]]] = {
    "FetchWorkItem": lambda session: fetch_next_card(session, configuration(), Queue()),
    "ReadCard": lambda session: read_card(session, configuration(), "ONE"),
    "ValidateWorkItem": lambda session: validate_branch(session, configuration(), "acme/shop", "feature/x"),
    "FindSpec": lambda session: validate_branch(session, configuration(), "acme/shop", "feature/y"),
    "ReadSpec": lambda session: validate_branch(session, configuration(), "acme/shop", "feature/y", named_spec="cart"),
    "ReadMergeable": lambda session: validate_branch(
        session, configuration(requireMergeable=True), "acme/shop", "feature/x"
    ),
    "ReadRepositoryFile": lambda session: read_repository_settings(session, configuration(), "acme/shop"),
    "CompareFiles": lambda session: validate_branch(session, configuration(), "acme/shop", "feature/x"),
    "ReadPushed": lambda session: pushed_commit(session, RUN, WORK),
    "FindComments": lambda session: put_comment(session, "PR_1", "text", ARN),
    "AddComment": lambda session: put_comment(session, "I_1", "text", ARN),
    "ReadLabels": lambda session: read_labeling(session, "acme/shop", 7, "reviewed"),
    "ReadPermission": lambda session: read_labeling(session, "acme/shop", 7, "reviewed"),
}


class _ChangedGitHub(FakeGitHub):
    """Changes the answers to one operation."""

    def __init__(self, operation: str, change: Callable[[Any], Any]) -> None:
        content = issue(
            linkedBranches={"nodes": [{"ref": {"name": "x", "repository": {"nameWithOwner": "acme/shop"}}}]}
        )
        cards = [FakeCard("ONE", content=content), FakeCard("TWO", content=pull_request_content())]
        comments = {"PR_1": [FakeComment("C_1", "hello")], "I_1": []}
        history = ["c" * 40, "a" * 40]
        ready = ready_repository()
        super().__init__(Board(cards, repository=ready, comments=comments, history=history, before=["d"]))
        self.board.spec_roots = spec_roots(["cart", "old"], ["old"])
        self.board.comparison = {"files": [{"filename": "AGENTS.md", "status": "modified", "sha": "1"}]}
        same = {"__typename": "Commit", "file0": {"mode": 0o100644, "oid": "1"}}
        self.board.versions = {"default": same, "commit": dict(same)}
        self.board.specs[".kiro/specs/cart"] = {key: ready[key] for key in ("specFolder", "tasks")}
        if operation in ("FindSpec", "ReadSpec"):
            ready["specFolder"] = None
        if operation == "ReadMergeable":
            ready["pullRequests"]["nodes"][0]["mergeable"] = "UNKNOWN"
        self._operation, self._change = operation, change

    async def execute(self, request: GraphQLRequest, **arguments: Any) -> ExecutionResult:
        name = request.document.definitions[0].name.value  # type: ignore[attr-defined]  # an operation, never a fragment
        known = {"ReadLabels": LABELS, "ReadPermission": PERMISSION}
        data: Any = known[name] if name in known else (await super().execute(request, **arguments)).data
        return ExecutionResult(data=self._change(copy.deepcopy(data)) if name == self._operation else data)


def read(operation: str, change: Callable[[Any], Any]) -> Any:
    async def act() -> Any:
        async with _ChangedGitHub(operation, change).open_session() as session:
            return await READERS[operation](session)

    return asyncio.run(act())


def paths_of(answer: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every part of the answer."""
    yield path
    parts = answer.items() if isinstance(answer, dict) else enumerate(answer) if isinstance(answer, list) else ()
    for key, part in parts:
        yield from paths_of(part, (*path, key))


def with_part(answer: Any, path: tuple[Any, ...], part: Any) -> Any:
    """``answer`` with another part at ``path``; without it for ``...``."""
    if not path:
        return part if part is not ... else None
    parent = answer
    for key in path[:-1]:
        parent = parent[key]
    if part is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = part
    return answer


@pytest.mark.parametrize("operation", READERS)
@given(changes=st.lists(st.tuples(st.integers(0, 10**4), st.sampled_from(range(len(ODD)))), min_size=1, max_size=3))
def test_any_answer_is_understood_or_named(operation: str, changes: list[tuple[int, int]]) -> None:
    """Drops or replaces parts of each answer. Only the worker's own errors may come out."""

    def change(answer: Any) -> Any:
        for number, odd in changes:
            paths = list(paths_of(answer))
            answer = with_part(answer, paths[number % len(paths)], copy.deepcopy(ODD[odd]))
        return answer

    try:
        read(operation, change)
    except KiroWorkerError as error:
        assert str(error)  # noqa: PT017  # the error is one of many possible ones


@pytest.mark.parametrize("operation", READERS)
def test_null_data_is_invalid(operation: str) -> None:
    with pytest.raises(GitHubAnswerInvalid, match="neither data nor errors"):
        read(operation, lambda _: None)


def test_error_names_the_field() -> None:
    with pytest.raises(GitHubAnswerInvalid, match=r"repository\.ref\.target\.oid: Input should be a valid string"):
        read("ValidateWorkItem", lambda answer: with_part(answer, ("repository", "ref", "target", "oid"), 7))


@pytest.mark.parametrize("node", [None, {}, {"id": "X"}, "text", {"id": 7, "isArchived": False}], ids=repr)
def test_card_that_cannot_be_read_is_passed_over(node: Any) -> None:
    items = ("organization", "projectV2", "items", "nodes", 0)
    found = read("FetchWorkItem", lambda answer: with_part(answer, items, node))
    assert (found.item.id, found.hidden) == ("TWO", 1)


@pytest.mark.parametrize("items", [None, {"pageInfo": {"hasNextPage": False, "endCursor": None}, "nodes": None}])
def test_board_whose_cards_are_hidden_is_empty(items: Any) -> None:
    found = read("FetchWorkItem", lambda answer: with_part(answer, ("organization", "projectV2", "items"), items))
    assert found.item is None
