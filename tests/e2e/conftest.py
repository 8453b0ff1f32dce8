"""One embedded AWS and one stand-in GitHub a test process; a fresh organisation, board and repository a test."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kiro_local.environment import GitHubAccess, LocalEnvironment
from kiro_local.github.stand_in import StandInGitHub
from tests.conftest import Deployments
from tests.support.world import TOKEN, World


class _Entered:
    """Calls what a test wants to happen at the moment a state is entered, in the interpreter's own thread: no race."""

    def __init__(self) -> None:
        self.hooks: dict[str, Callable[[], None]] = {}

    def __call__(self, _arn: str, event: Mapping[str, Any]) -> None:
        name = event.get("stateEnteredEventDetails", {}).get("name")
        if hook := self.hooks.pop(name, None):
            hook()


@pytest.fixture(scope="session")
def entered() -> _Entered:
    return _Entered()


class Arriving:
    """``listener`` hears of each request to AWS and to the stand-in, in its own thread, before anything is done."""

    def __init__(self) -> None:
        self.listener: Callable[[str], None] | None = None

    def __call__(self, operation: str) -> None:
        if self.listener:
            self.listener(operation)


@pytest.fixture(scope="session")
def session_arriving() -> Arriving:
    return Arriving()


@pytest.fixture
def arriving(session_arriving: Arriving) -> Iterator[Arriving]:
    yield session_arriving
    session_arriving.listener = None


@pytest.fixture(scope="session")
def stand_in(session_arriving: Arriving) -> Iterator[StandInGitHub]:
    # Hundreds of runs within the hour.
    with StandInGitHub(points_an_hour=10**6) as github:
        github.add_token(TOKEN, "kiro-worker-bot")
        github.on_request = session_arriving
        yield github


@pytest.fixture
def deployed(
    deployments: Deployments, stand_in: StandInGitHub, entered: _Entered, session_arriving: Arriving
) -> LocalEnvironment:
    access = GitHubAccess(stand_in.graphql_url, stand_in.git_url, TOKEN)
    start = partial(
        LocalEnvironment, access, {}, on_history_event=entered, on_request=session_arriving, pause_scale=0.01
    )
    return deployments.get("e2e", start)


_serial = itertools.count(1)


@pytest.fixture
def world(deployed: LocalEnvironment, stand_in: StandInGitHub, entered: _Entered, open_folder: Path) -> Iterator[World]:
    organization = f"acme{next(_serial)}"
    repository = stand_in.board.add_repository(f"{organization}/shop")
    repository.git.commit("main", {"README.md": "# Shop\n"}, "Begin")
    project = stand_in.board.add_project(organization, number=1)
    world = World(deployed, stand_in, open_folder, organization, repository, project, entered.hooks)
    world.configuration = {
        "organization": organization,
        "repository": "shop",
        "projectNumber": 1,
        "targetStatusColumn": "For Implementation",
        "coverageThreshold": None,
        "githubApiUrl": stand_in.graphql_url,
        "gitUrl": stand_in.git_url,
        "testCommand": "python3 -m unittest -v",
    }
    world.agent()
    stand_in.requests.clear()
    yield world
    stand_in.faults.clear()
    entered.hooks.clear()
    deployed.put_secret("github-token", TOKEN)
    deployed.put_secret("git-credentials", json.dumps({"username": "git", "password": TOKEN}))
