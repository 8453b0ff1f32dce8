"""One embedded AWS and one stand-in GitHub per test process, with quick builds and an observer; a fresh organization,
board and repository per run.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from kiro_local.assembly import ROOT
from kiro_local.environment import GitHubAccess, LocalEnvironment
from kiro_local.github.stand_in import StandInGitHub
from tests.conftest import Deployments
from tests.recovery.observer import Observer
from tests.recovery.quick_builds import quick_builds
from tests.support.world import TOKEN, World

DEPLOYED_TREE = "KIRO_WORKER_DEPLOYED_TREE"
"""Names the tree to deploy instead of this one; tests/recovery/test_mutants.py sets it."""

_serial = itertools.count(1)


@pytest.fixture(scope="session")
def stand_in() -> Iterator[StandInGitHub]:
    # Thousands of runs within one hour of the rate limit.
    with StandInGitHub(points_an_hour=10**6) as github:
        github.add_token(TOKEN, "kiro-worker-bot")
        yield github


@pytest.fixture(scope="session")
def observer() -> Observer:
    return Observer()


@pytest.fixture
def deployed(deployments: Deployments, stand_in: StandInGitHub, observer: Observer) -> LocalEnvironment:
    return deployments.get("recovery", partial(_deployed, stand_in, observer))


@contextmanager
def _deployed(stand_in: StandInGitHub, observer: Observer) -> Iterator[LocalEnvironment]:
    access = GitHubAccess(stand_in.graphql_url, stand_in.git_url, TOKEN)
    with (
        LocalEnvironment(
            access,
            {},
            on_history_event=observer.on_history_event,
            on_build_line=observer.on_build_line,
            pause_scale=0.0001,
            root=Path(os.environ.get(DEPLOYED_TREE) or ROOT),
        ) as local,
        quick_builds(local.aws.environment),
    ):
        observer.watch(local, stand_in)
        yield local


@pytest.fixture
def new_world(
    deployed: LocalEnvironment, stand_in: StandInGitHub, observer: Observer, open_folder: Path
) -> Iterator[Callable[[], World]]:
    """Makes a fresh world, and resets what the previous one left."""

    def make() -> World:
        observer.reset()
        deployed.aws.faults.clear()
        stand_in.faults.clear()
        organization = f"acme{next(_serial)}"
        folder = open_folder / organization
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        repository = stand_in.board.add_repository(f"{organization}/shop")
        repository.git.commit("main", {"README.md": "# Shop\n"}, "Begin")
        project = stand_in.board.add_project(organization, number=1)
        world = World(deployed, stand_in, folder, organization, repository, project, observer.entered)
        world.configuration = {
            "organization": organization,
            "repository": "shop",
            "projectNumber": 1,
            "targetStatusColumn": "For Implementation",
            "coverageThreshold": None,
            "githubApiUrl": stand_in.graphql_url,
            "gitUrl": stand_in.git_url,
            "testCommand": "true",
        }
        return world

    yield make
    observer.reset()
    deployed.aws.faults.clear()
