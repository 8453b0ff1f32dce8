"""A running stand-in GitHub with one small repository, and methods that send requests to it."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport

from kiro_local.github.model import Item, Project, PullRequest, Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.github import readiness_queries

TOKEN = "ghp_worker"


@dataclass(frozen=True)
class Shop:
    """A running stand-in with one repository, one pull request and one card that is ready."""

    token: ClassVar[str] = TOKEN
    spec: ClassVar[str] = ".kiro/specs/feature-checkout"
    board_variables: ClassVar[dict[str, Any]] = {
        "owner": "acme",
        "ofOrganization": True,
        "projectNumber": 1,
        "statusField": "Status",
        "branchField": "Branch",
        "specField": "Spec",
        "priorityField": "Priority",
        "byPriority": True,
    }

    github: StandInGitHub
    repository: Repository
    pull_request: PullRequest
    project: Project
    card: Item

    def ask(self, operation: GraphQLRequest, token: str = TOKEN, **variables: Any) -> dict[str, Any]:
        """The data of the answer to an operation, sent as the worker sends it."""

        async def send() -> dict[str, Any]:
            transport = AIOHTTPTransport(self.github.graphql_url, headers={"Authorization": f"bearer {token}"})
            async with Client(transport=transport, execute_timeout=20) as session:
                request = GraphQLRequest(operation.document, variable_values=variables)
                data: dict[str, Any] = await session.execute(request)
                return data

        return asyncio.run(send())

    def validate(self, branch: str = "feature/checkout", **variables: Any) -> dict[str, Any]:
        """The repository in the answer to the operation that validates a branch."""
        folder = f"refs/heads/{branch}:{self.spec}"
        values: dict[str, Any] = {"owner": "acme", "name": "shop", "branch": branch, "ref": f"refs/heads/{branch}"}
        values |= {"specFolder": folder, "tasks": f"{folder}/tasks.md", "withMergeable": False, **variables}
        repository: dict[str, Any] = self.ask(readiness_queries.VALIDATE_WORK_ITEM, **values)["repository"]
        return repository

    def post(self, query: str, token: str | None = TOKEN, **variables: Any) -> Answer:
        """The HTTP answer to a query."""
        headers = {"content-type": "application/json", "user-agent": "tests"}
        if token is not None:
            headers["authorization"] = f"bearer {token}"
        return self.request("POST", "/graphql", json.dumps({"query": query, "variables": variables}), headers)

    def request(self, method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection(urlsplit(self.github.base_url).netloc, timeout=20)
        try:
            connection.request(method, path, body.encode(), dict(headers or {}))
            response = connection.getresponse()
            raw = response.read().decode()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, raw)
        finally:
            connection.close()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def make_shop(github: StandInGitHub) -> Shop:
    board = github.board
    github.add_token(TOKEN, "worker")
    repository = board.add_repository("acme/shop")
    repository.git.commit("main", {"README.md": "# Shop\n"}, "First commit")
    repository.git.commit(
        "feature/checkout",
        {
            f"{Shop.spec}/requirements.md": "# Requirements\n",
            f"{Shop.spec}/design.md": "# Design\n",
            f"{Shop.spec}/tasks.md": "- [ ] 1. Add the checkout\n",
        },
        "Add the spec",
        base="main",
    )
    issue = board.add_issue(repository, "A checkout", linked_branches=("feature/checkout",))
    pull_request = board.add_pull_request(repository, "feature/checkout", title="Checkout")
    project = board.add_project("acme", title="Deliveries")
    card = board.add_card(project, issue, status="For Implementation")
    return Shop(github, repository, pull_request, project, card)


@pytest.fixture(scope="session")
def untouched_shop() -> Iterator[Shop]:
    """A shared shop, for tests that only read."""
    with StandInGitHub() as github:
        yield make_shop(github)


@pytest.fixture
def shop() -> Iterator[Shop]:
    with StandInGitHub() as github:
        yield make_shop(github)
