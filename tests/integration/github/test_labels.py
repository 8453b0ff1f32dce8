"""Whose label counts, read over HTTP as the build reads it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import pytest

from kiro_local.github.faults import FaultKind
from kiro_local.github.model import PullRequest, Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.errors import GitHubForbidden, GitHubUnavailable
from kiro_worker.github.answers.labels import LabelHistory, parse_permissions
from kiro_worker.github.client import github_session
from kiro_worker.github.labels import Labeling, last_labeling, read_labeling
from tests.integration.github.conftest import TOKEN

LABEL = "steering-reviewed"
Read = Callable[[], Labeling]


@pytest.fixture
def pull_request(github: StandInGitHub) -> PullRequest:
    shop = github.board.add_repository("acme/shop")
    shop.git.commit("main", {"README.md": "# Shop"})
    shop.git.commit("feature/x", {"a": "a"}, base="main")
    return github.board.add_pull_request(shop, "feature/x")


@pytest.fixture
def repository(pull_request: PullRequest) -> Repository:
    return pull_request.repository


@pytest.fixture
def read(github: StandInGitHub, pull_request: PullRequest) -> Read:
    async def ask() -> Labeling:
        async with github_session(github.graphql_url, TOKEN) as session:
            return await read_labeling(session, "acme/shop", pull_request.number, LABEL)

    return lambda: asyncio.run(ask())


@pytest.mark.parametrize(
    ("permission", "counts"), [("READ", False), ("TRIAGE", False), ("WRITE", True), ("MAINTAIN", True), ("ADMIN", True)]
)
def test_label_needs_givers_permission(
    github: StandInGitHub, pull_request: PullRequest, repository: Repository, read: Read, permission: str, counts: bool
) -> None:
    github.board.set_permission(repository, "alice", permission)
    github.board.set_permission(repository, "bob", "ADMIN")
    github.board.add_label(pull_request, "bug", by="bob")
    github.board.add_label(pull_request, LABEL, by="alice")

    problem = "" if counts else "alice, who added it last, may not push to acme/shop"
    assert read() == Labeling("alice" if counts else "", problem)
    assert github.requests.points == 2


def test_outsiders_label_does_not_count(github: StandInGitHub, pull_request: PullRequest, read: Read) -> None:
    github.board.add_label(pull_request, LABEL, by="mallory")

    assert "mallory" in read().problem


def test_last_giver_of_label_decides(
    github: StandInGitHub, pull_request: PullRequest, repository: Repository, read: Read
) -> None:
    board = github.board
    board.set_permission(repository, "alice", "WRITE")
    board.set_permission(repository, "tracy", "TRIAGE")
    for giver in ("alice", "tracy", "alice"):
        if pull_request.labels:
            board.remove_label(pull_request, LABEL, by="alice")
        board.add_label(pull_request, LABEL, by=giver)
        assert bool(read().added_by) is (giver == "alice")


def test_removed_label_does_not_count(
    github: StandInGitHub, pull_request: PullRequest, repository: Repository, read: Read
) -> None:
    github.board.set_permission(repository, "alice", "WRITE")
    github.board.add_label(pull_request, LABEL, by="alice")
    github.board.remove_label(pull_request, LABEL, by="tracy")

    assert read() == Labeling(problem="the pull request does not have it")
    assert len(github.requests.graphql()) == 1, "no permission needs to be read"


@pytest.mark.parametrize("name", ["Steering-Reviewed", "steering-reviewed ", "steering", "steering-reviewed-not"])
def test_similar_label_does_not_count(
    github: StandInGitHub, pull_request: PullRequest, repository: Repository, read: Read, name: str
) -> None:
    github.board.set_permission(repository, "alice", "WRITE")
    github.board.add_label(pull_request, name, by="alice")

    assert read().problem == "the pull request does not have it"


def test_only_persons_labels_count(
    github: StandInGitHub, pull_request: PullRequest, repository: Repository, read: Read
) -> None:
    board = github.board
    board.add_bot("labeler")
    for login in ("labeler", "Kiro-Worker-Bot"):
        board.set_permission(repository, login, "ADMIN")
    problems = []
    for giver in ("labeler", None, "Kiro-Worker-Bot"):
        board.add_label(pull_request, LABEL, by=giver)
        problems.append(read().problem)
        board.remove_label(pull_request, LABEL, by="alice")

    assert problems == [
        "labeler, which added it last, is not a person",
        "the account that added it last no longer exists",
        "Kiro-Worker-Bot, the worker's own account, added it last",
    ]


@pytest.mark.parametrize("operation", ["ReadLabels", "ReadPermission"])
def test_outage_is_an_error(
    github: StandInGitHub,
    pull_request: PullRequest,
    repository: Repository,
    read: Read,
    operation: str,
) -> None:
    github.board.set_permission(repository, "alice", "WRITE")
    github.board.add_label(pull_request, LABEL, by="alice")
    github.faults.add(FaultKind.BAD_GATEWAY, operation, times=3)

    with pytest.raises(GitHubUnavailable):
        read()


def test_token_without_push_access_is_an_error(
    github: StandInGitHub, pull_request: PullRequest, repository: Repository, read: Read
) -> None:
    github.board.add_label(pull_request, LABEL, by="alice")
    repository.is_archived = True

    with pytest.raises(GitHubForbidden, match="push access"):
        read()


ANSWER: dict[str, Any] = {
    "repository": {
        "pullRequest": {
            "labels": {"nodes": [{"id": "LA_1", "name": LABEL}]},
            "timelineItems": {"nodes": [{"label": {"id": "LA_1"}, "actor": {"__typename": "User", "login": "alice"}}]},
        }
    },
    "viewer": {"login": "worker"},
}


def test_null_in_answer_is_no_label() -> None:
    assert last_labeling(LabelHistory.parse(ANSWER), LABEL).added_by == "alice"
    for path in (
        ("repository",),
        ("repository", "pullRequest"),
        ("repository", "pullRequest", "labels"),
        ("repository", "pullRequest", "timelineItems"),
    ):
        answer = copy.deepcopy(ANSWER)
        *parents, last = path
        parent_object = answer
        for parent in parents:
            parent_object = parent_object[parent]
        parent_object[last] = None
        assert last_labeling(LabelHistory.parse(answer), LABEL).added_by == ""
    assert parse_permissions({"repository": {"collaborators": None}}).get("alice", "") == ""
    other = {"edges": [None, {"permission": "ADMIN", "node": {"login": "alice2"}}]}
    assert parse_permissions({"repository": {"collaborators": other}}).get("alice", "") == ""
