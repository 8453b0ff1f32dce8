"""One embedded AWS and one stand-in GitHub per test process, with quick builds and an observer; a fresh organization,
board and repository per run.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from kiro_local.assembly import ROOT
from kiro_local.environment import LocalEnvironment
from kiro_local.github.stand_in import StandInGitHub
from tests.conftest import Deployments
from tests.recovery.observer import Observer
from tests.recovery.quick_builds import quick_builds
from tests.support.world import World, access, create_world, stand_in_github

DEPLOYED_TREE = "KIRO_WORKER_DEPLOYED_TREE"
"""Names the tree to deploy instead of this one; tests/recovery/test_mutants.py sets it."""


@pytest.fixture(scope="session")
def stand_in() -> Iterator[StandInGitHub]:
    with stand_in_github() as github:
        yield github


@pytest.fixture(scope="session")
def observer() -> Observer:
    return Observer()


@pytest.fixture
def deployed(deployments: Deployments, stand_in: StandInGitHub, observer: Observer) -> LocalEnvironment:
    return deployments.get("recovery", partial(_deployed, stand_in, observer))


@contextmanager
def _deployed(stand_in: StandInGitHub, observer: Observer) -> Iterator[LocalEnvironment]:
    with (
        LocalEnvironment(
            access(stand_in),
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
    """Makes a fresh world, and resets what the previous one changed."""

    def make() -> World:
        observer.reset()
        deployed.aws.faults.clear()
        stand_in.faults.clear()
        folder = Path(tempfile.mkdtemp(dir=open_folder))
        folder.chmod(0o777)
        return create_world(deployed, stand_in, folder, observer.entered, test_command="true")

    yield make
    observer.reset()
    deployed.aws.faults.clear()
