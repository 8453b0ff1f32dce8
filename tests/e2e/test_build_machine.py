"""The machine of a build: the installation's, or what the settings of the repository choose."""

from __future__ import annotations

from typing import Any

import pytest

from kiro_local.environment import NAMES
from tests.support.world import World

pytestmark = pytest.mark.e2e


def last_build(world: World) -> dict[str, Any]:
    client = world.local.client("codebuild")
    ids = client.list_builds_for_project(projectName=NAMES.build_project)["ids"]
    build: dict[str, Any] = client.batch_get_builds(ids=ids[:1])["builds"][0]
    return build


def test_repository_chooses_machine(world: World) -> None:
    chosen = {"image": "acme/ci@sha256:0a", "computeType": "MEDIUM", "timeoutMinutes": 45}
    world.configure(
        limits={"images": [chosen["image"]], "computeType": "MEDIUM", "minutes": 60},
        repositorySettings={world.repository.name_with_owner: {"build": chosen}},
    )
    world.card()

    run = world.tick()

    assert (run.status, run.outcome) == ("SUCCEEDED", "Succeeded")
    build = last_build(world)
    environment = build["environment"]
    shown = (environment["image"], environment["computeType"], environment["imagePullCredentialsType"])
    assert shown == ("acme/ci@sha256:0a", "BUILD_GENERAL1_MEDIUM", "SERVICE_ROLE")
    assert build["timeoutInMinutes"] == 45
    assert environment["type"] == "ARM_CONTAINER"
