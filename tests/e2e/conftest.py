"""One embedded AWS and one stand-in GitHub per test process; a new organization, board and repository per test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from kiro_local.environment import NAMES, LocalEnvironment
from kiro_local.github.stand_in import StandInGitHub
from tests.conftest import Deployments
from tests.support.world import TOKEN, StateHooks, World, access, create_world, stand_in_github


@pytest.fixture(scope="session")
def entered() -> StateHooks:
    return StateHooks()


class RequestHook:
    """Calls ``hook`` with each request to AWS and to the stand-in, in the request's thread, before it is handled."""

    def __init__(self) -> None:
        self.hook: Callable[[str], None] | None = None

    def __call__(self, operation: str) -> None:
        if self.hook:
            self.hook(operation)


@pytest.fixture(scope="session")
def session_request_hook() -> RequestHook:
    return RequestHook()


@pytest.fixture
def request_hook(session_request_hook: RequestHook) -> Iterator[RequestHook]:
    yield session_request_hook
    session_request_hook.hook = None


@pytest.fixture(scope="session")
def stand_in(session_request_hook: RequestHook) -> Iterator[StandInGitHub]:
    with stand_in_github() as github:
        github.on_request = session_request_hook
        yield github


@pytest.fixture
def deployed(
    deployments: Deployments, stand_in: StandInGitHub, entered: StateHooks, session_request_hook: RequestHook
) -> LocalEnvironment:
    start = partial(
        LocalEnvironment,
        access(stand_in),
        {},
        on_history_event=entered.on_history_event,
        on_request=session_request_hook,
        pause_scale=0.01,
    )
    return deployments.get("e2e", start)


@pytest.fixture
def world(
    deployed: LocalEnvironment, stand_in: StandInGitHub, entered: StateHooks, open_folder: Path
) -> Iterator[World]:
    world = create_world(deployed, stand_in, open_folder, entered, test_command="python3 -m unittest -v")
    world.agent()
    stand_in.requests.clear()
    yield world
    world.stop_everything()
    deployed.aws.faults.clear()
    stand_in.faults.clear()
    entered.clear()
    deployed.client("secretsmanager").restore_secret(SecretId=NAMES.git_credentials_secret)
    deployed.put_secret("github-token", TOKEN)
    deployed.put_secret("git-credentials", json.dumps({"username": "git", "password": TOKEN}))
