"""Failed, aborted and taken-over runs: the card says what happened, and a redrive completes the work."""

from __future__ import annotations

from typing import Any

import pytest

from kiro_local.faults import parse_fault
from kiro_local.github.faults import FaultKind
from kiro_worker.executions.history import Run
from tests.e2e.conftest import RequestHook
from tests.support.world import IMPLEMENT, World, names

pytestmark = pytest.mark.e2e

FAILING = "import sys\nprint('the agent failed', flush=True)\nsys.exit(3)\n"


def fence(run: Run) -> int:
    return int(next(state.document["lease"]["fence"] for state in reversed(run.states) if "lease" in state.document))


def test_failed_build_succeeds_after_redrive(world: World) -> None:
    card = world.card()
    head = world.head()
    world.agent(FAILING)
    failed = world.tick()
    assert (failed.status, failed.error) == ("FAILED", "AgentFailed")
    assert names(failed)[-6:] == [
        "BuildSucceeded",
        "MarkFailed",
        "ReleaseLockAfterFailure",
        "NextRunAllowed",
        "StartNextRunAfterFailure",
        "FailRun",
    ]
    assert (world.status(card), world.head()) == ("Blocked", head)
    assert world.local.lock() is None
    [comment] = world.comments()
    assert "❌ **AgentFailed**" in comment
    assert f"redrive-execution --execution-arn {failed.arn}" in comment

    world.agent(IMPLEMENT)
    redriven = world.redrive(failed)
    assert (redriven.arn, redriven.status, redriven.outcome) == (failed.arn, "SUCCEEDED", "Succeeded")
    assert redriven.redrives == 1
    assert fence(redriven) > fence(failed)
    assert world.status(card) == "In Review"
    [comment] = world.comments()
    assert "✅" in comment
    assert world.local.lock() is None


def test_failed_redrive_reports_new_cause(world: World) -> None:
    world.card()
    world.agent(FAILING)
    failed = world.tick()
    world.agent("import sys\nsys.stdin.read()\n")
    again = world.redrive(failed)
    assert (again.status, again.redrives) == ("FAILED", 1)
    assert "❌ **NoChanges**" in world.comments()[0]
    world.agent(IMPLEMENT)
    assert world.redrive(again).outcome == "Succeeded"


def test_failing_tests_push_nothing(world: World) -> None:
    card = world.card()
    head = world.head()
    world.agent("import pathlib\npathlib.Path('sums.py').write_text('def add(a, b): return 0')\n")
    run = world.tick()
    assert run.status == "FAILED"
    assert (world.head(), world.status(card)) == (head, "Blocked")
    assert "❌ **TestsFailed**" in world.comments()[0]


@pytest.mark.parametrize("operation", ["SetStatus", "AddComment"])
def test_failed_report_repeats_no_build(world: World, operation: str) -> None:
    card = world.card()
    world.entered["MarkInReview"] = lambda: world.github.faults.add(FaultKind.FORBIDDEN, operation, times=None)
    failed = world.tick()
    assert (failed.status, failed.error) == ("FAILED", "GitHubForbidden")
    assert world.local.lock() is None
    builds = world.builds()
    world.github.faults.clear()
    redriven = world.redrive(failed)
    assert redriven.outcome == "Succeeded"
    assert names(redriven).count("RunBuild") == 1
    assert world.builds() == builds
    assert world.status(card) == "In Review"


def test_failure_without_lock_reruns_its_state(world: World) -> None:
    world.card()
    world.github.faults.add(FaultKind.UNAUTHORIZED, "ValidateWorkItem")
    failed = world.tick()
    assert (failed.error, names(failed)) == (
        "GitHubTokenInvalid",
        ["FetchWorkItem", "WorkItemFound", "ValidateWorkItem"],
    )
    assert world.redrive(failed).outcome == "Succeeded"


@pytest.mark.parametrize("scope", [{}, {"lockScope": "branch", "maxConcurrentBuilds": 1}], ids=["one lock", "slots"])
def test_aborted_run_is_reported(world: World, scope: dict[str, Any]) -> None:
    world.configure(**scope)
    card = world.card()
    world.agent("import time\ntime.sleep(600)\n")
    arn = world.local.tick()
    world.wait_until(lambda: "RunBuild" in names(world.read(arn)))
    world.local.client("stepfunctions").stop_execution(executionArn=arn, cause="enough")
    world.wait_until(lambda: world.local.lock() is None and world.status(card) == "Blocked")
    world.wait_until(lambda: bool(world.comments()))
    assert "❌ **ABORTED**" in world.comments()[0]
    assert world.read(arn).status == "ABORTED"
    world.agent(IMPLEMENT)
    redriven = world.redrive(world.read(arn))
    assert redriven.status == "SUCCEEDED"
    assert world.local.lock() is None


def test_redrive_takes_card_from_failed_status(world: World) -> None:
    card = world.card()
    world.local.aws.faults.add(parse_fault("MarkInProgress:aborted"))
    run = world.tick()
    assert run.status == "ABORTED"
    world.wait_until(lambda: world.status(card) == "Blocked" and bool(world.comments()))
    redriven = world.redrive(run)
    assert (redriven.outcome, world.status(card)) == ("Succeeded", "In Review")


def test_ended_holder_loses_lock(world: World) -> None:
    world.card()
    ended = world.tick()
    world.local.client("dynamodb").put_item(
        TableName="kiro-worker-test-locks",
        Item={
            "lockKey": {"S": "work-item-processor-lock"},
            "owner": {"S": ended.arn},
            "fence": {"N": "9999999999999"},
            "acquiredAt": {"S": "2026-01-01T00:00:00.000Z"},
            "expiresAt": {"N": "9999999999"},
        },
    )
    world.card("feature/two")
    run = world.tick()
    assert run.outcome == "Succeeded"
    assert fence(run) == 10**13


def test_push_with_lost_answer_counts(world: World, request_hook: RequestHook) -> None:
    """The push succeeded but its answer was lost. The branch has this execution's commit, so the agent runs once."""
    world.card()
    pushes = []

    def lose_answer(operation: str) -> None:
        if operation == "git-receive-pack":
            pushes.append(operation)
            if len(pushes) == 3:
                # After the push check and the checkpoint.
                world.github.faults.add(FaultKind.LOST_ANSWER, "git-receive-pack")

    request_hook.hook = lose_answer
    run = world.tick()
    if run.status == "FAILED":
        world.agent(FAILING)
        run = world.redrive(run)
    assert run.outcome == "Succeeded"
    log = world.repository.git.run("log", "--format=%H", "main..feature/sum").decode().split()
    assert len(log) == 2
