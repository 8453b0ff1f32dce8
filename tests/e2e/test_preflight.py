"""A broken installation costs no build: the run fails by name, and the card waits in the target status."""

from __future__ import annotations

import json

import pytest

from kiro_local.environment import NAMES
from kiro_worker.executions.history import Run
from tests.support.world import TOKEN, World, names

pytestmark = pytest.mark.e2e

GIT_CREDENTIALS = NAMES.git_credentials_secret


def fail_preflight(world: World, error: str, fix: str) -> Run:
    """Check that a run fails with ``error`` before it starts a build, and leaves the card alone. Return the run."""
    card, builds, head = world.card(), world.builds(), world.head()
    run = world.tick()
    assert (run.status, run.error) == ("FAILED", error)
    assert names(run) == ["FetchWorkItem", "WorkItemFound", "ValidateWorkItem"]
    assert f"How to fix: {fix}" in json.loads(run.cause)["errorMessage"]
    assert (world.status(card), world.comments(), world.head()) == ("For Implementation", [], head)
    assert world.local.lock() is None
    assert world.builds() == builds
    return run


def test_secret_pending_deletion_starts_no_build(world: World) -> None:
    secrets = world.local.client("secretsmanager")
    secrets.delete_secret(SecretId=GIT_CREDENTIALS)
    restore = f"aws secretsmanager restore-secret --secret-id {GIT_CREDENTIALS}"

    failed = fail_preflight(world, "SecretPendingDeletion", restore)

    secrets.restore_secret(SecretId=GIT_CREDENTIALS)
    assert world.redrive(failed).outcome == "Succeeded"


def test_recreated_secret_needs_no_deployment(world: World) -> None:
    secrets = world.local.client("secretsmanager")
    before = secrets.describe_secret(SecretId=GIT_CREDENTIALS)["ARN"]
    secrets.delete_secret(SecretId=GIT_CREDENTIALS, ForceDeleteWithoutRecovery=True)
    try:
        failed = fail_preflight(world, "SecretMissing", f"aws secretsmanager create-secret --name {GIT_CREDENTIALS} ")
    finally:
        created = secrets.create_secret(
            Name=GIT_CREDENTIALS, SecretString=json.dumps({"username": "git", "password": TOKEN})
        )

    assert created["ARN"] != before
    assert world.redrive(failed).outcome == "Succeeded"


def test_agent_without_pin_starts_no_build(world: World) -> None:
    agent = world.configuration["agent"]
    world.configure(agent="kiro")
    # A machine with the Kiro CLI would count as a custom image.
    image_before = world.local.set_build_image("aws/codebuild/amazonlinux-aarch64-standard:3.0")
    try:
        failed = fail_preflight(world, "AgentNotPinned", "make deploy ARGS='--context kiroCliUrl=")
    finally:
        world.local.set_build_image(image_before)

    world.configure(agent=agent)
    assert world.redrive(failed).outcome == "Succeeded"
