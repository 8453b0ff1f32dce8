"""Tests that need a real account. Deploy and configure the stacks first, and have AWS credentials in the shell.

    KIRO_WORKER_AWS=1 KIRO_WORKER_ENVIRONMENT=test make test ARGS='tests/aws -s'

They start one execution, which takes the next waiting card: use a board that is meant for tests.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import boto3
import pytest

from kiro_worker.executions.follow import wait_for
from kiro_worker.executions.history import Run, read_events
from kiro_worker.names import Names

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

ENVIRONMENT = os.environ.get("KIRO_WORKER_ENVIRONMENT", "test")
NAMES = Names(ENVIRONMENT)

pytestmark = pytest.mark.skipif(
    os.environ.get("KIRO_WORKER_AWS") != "1",
    reason="needs an AWS account with the stacks deployed: KIRO_WORKER_AWS=1 (see docs/reference/unproven.md)",
)


@pytest.fixture(scope="module")
def client() -> SFNClient:
    return boto3.client("stepfunctions")


@pytest.fixture(scope="module")
def run(client: SFNClient) -> Run:
    """A finished execution. It may take as long as the state machine's own timeout."""
    region, account = client.meta.region_name, boto3.client("sts").get_caller_identity()["Account"]
    machine = f"arn:aws:states:{region}:{account}:stateMachine:{NAMES.state_machine}"
    started = client.start_execution(stateMachineArn=machine, input='{"trigger":"manual"}')
    print(f"\nwatching {started['executionArn']}")
    return wait_for(client, started["executionArn"], timeout=7200)


def test_run_ends_by_name_and_releases_lock(run: Run) -> None:
    print(run.status, run.outcome, [state.name for state in run.states], run.transitions)
    assert run.status == "SUCCEEDED" or run.error.partition(".")[0] not in ("States", "Lambda", "Runtime"), run.cause
    items = boto3.client("dynamodb").scan(TableName=NAMES.locks_table, ConsistentRead=True)["Items"]
    assert [item for item in items if item.get("owner", {}).get("S") == run.arn] == []


def test_numbers_reach_build_in_full(run: Run, client: SFNClient) -> None:
    scheduled = [
        event["taskScheduledEventDetails"]["parameters"]
        for event in read_events(client, run.arn)
        if event.get("taskScheduledEventDetails", {}).get("resourceType") == "codebuild"
    ]
    if not scheduled:
        pytest.skip("no card was ready, so no build started")
    assert '"LOCK_FENCE"' in scheduled[0]
    assert str(int(time.time() * 1000))[:4] in scheduled[0]


def test_redrive_continues_or_fails_by_name(run: Run, client: SFNClient) -> None:
    if run.status == "SUCCEEDED":
        pytest.skip("nothing failed, so there is nothing to redrive")
    client.redrive_execution(executionArn=run.arn)
    again = wait_for(client, run.arn, timeout=7200)
    print(again.status, again.outcome, [state.name for state in again.states])
    assert again.redrives == 1
    assert again.status == "SUCCEEDED" or not again.error.startswith("States.")
