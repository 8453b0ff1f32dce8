from __future__ import annotations

from typing import Any

import pytest

from kiro_worker.errors import InvalidExecutionInput
from tests.unit.functions.conftest import ARN, Aws, Call

LOCK = "work-item-processor-lock"
HELD: dict[str, Any] = {
    "lockKey": {"S": LOCK},
    "owner": {"S": ARN},
    "fence": {"N": "5"},
    "acquiredAt": {"S": "2025-11-23T12:00:00.000Z"},
    "workItemId": {"S": "CARD"},
    "repository": {"S": "acme/shop"},
    "branch": {"S": "feature/x"},
}
LEASE = {"lockKey": LOCK, "owner": ARN, "fence": 5, "expiresAt": 9, "slot": ""}


def test_lease_is_released(call: Call, aws: Aws) -> None:
    aws.executions[ARN] = {"redriveCount": 2}
    assert call("ReleaseLock", {"lease": LEASE}) == {
        "released": True,
        "held": {"lockKey": LOCK},
        "redriveCount": 2,
        "owner": "",
    }
    [update] = aws.updates
    assert update["ExpressionAttributeValues"] == {":owner": {"S": ARN}, ":fence": {"N": "5"}}


def test_fence_of_build_is_tried_first(call: Call, aws: Aws) -> None:
    build = {"id": "b:1", "arn": "arn:b", "log": "", "variables": {"Name": "RESULT_FENCE", "Value": "8"}}
    call("ReleaseLock", {"lease": LEASE, "build": build})
    assert aws.updates[0]["ExpressionAttributeValues"][":fence"] == {"N": "8"}


@pytest.mark.parametrize(("document", "pending"), [({}, False), ({"reportPending": True}, True)])
def test_pending_report_is_remembered(call: Call, aws: Aws, document: dict[str, Any], pending: bool) -> None:
    call("ReleaseLockAfterFailure", {"lease": LEASE, **document})
    assert aws.updates[0]["UpdateExpression"].startswith("SET reportPending") is pending


def test_report_of_redrive_is_not_pending(call: Call, aws: Aws) -> None:
    """The document keeps ``reportPending``, and the state follows the report."""
    call("ReleaseLock", {"lease": LEASE, "reportPending": True})
    assert aws.updates[0]["UpdateExpression"] == "REMOVE #owner, buildId, reportPending"


def test_clean_up_frees_and_names_lock(call: Call, aws: Aws) -> None:
    aws.items, aws.executions[ARN] = [HELD], {"status": "ABORTED"}
    assert call("ReleaseLock", {"endedAt": 1763900000123}) == {
        "released": True,
        "held": {"lockKey": LOCK, "workItemId": "CARD", "repository": "acme/shop", "branch": "feature/x"},
        "redriveCount": 0,
        "owner": "",
    }


@pytest.mark.parametrize(
    ("ended_at", "status"), [(1763800000000, "ABORTED"), (1763900000123, "RUNNING")], ids=["earlier", "running"]
)
def test_clean_up_spares_live_lock(call: Call, aws: Aws, ended_at: int, status: str) -> None:
    aws.items, aws.executions[ARN] = [HELD], {"status": status}
    assert call("ReleaseLock", {"endedAt": ended_at})["released"] is False
    assert aws.updates == []


@pytest.mark.parametrize("ended_at", [None, "yesterday", {}])
def test_clean_up_without_time_frees_nothing(call: Call, aws: Aws, ended_at: Any) -> None:
    aws.items, aws.executions[ARN] = [HELD], {"status": "ABORTED"}
    with pytest.raises(InvalidExecutionInput, match="endedAt"):
        call("ReleaseLock", {"endedAt": ended_at})
    assert aws.updates == []


def test_lost_answer_frees_held_locks(call: Call, aws: Aws) -> None:
    aws.items = [HELD, HELD | {"lockKey": {"S": "other"}, "owner": {"S": f"{ARN}-other"}}]
    assert call("ReleaseLockAfterFailure", {"item": {"id": "CARD"}})["held"]["workItemId"] == "CARD"
    assert {update["Key"]["lockKey"]["S"] for update in aws.updates} == {LOCK}


def test_nothing_held_is_nothing_released(call: Call, aws: Aws) -> None:
    assert call("ReleaseLock", {}) == {"released": False, "held": None, "redriveCount": 0, "owner": ""}


@pytest.mark.parametrize(
    ("failure", "owner"),
    [
        ({"state": "RunBuild", "error": "TestsFailed", "owner": "repository"}, "repository"),
        ({"state": "MarkInProgress", "error": "GitHubTokenInvalid"}, "installation"),
        ({"state": "RunBuild", "error": "States.Timeout"}, "service"),
        ({"state": "MarkFailed", "error": "Sandbox.Timedout"}, "service"),
        ({"state": "RunBuild", "error": "LockLost"}, ""),
    ],
    ids=lambda value: str(value.get("error")) if isinstance(value, dict) else None,
)
def test_owner_of_failure_is_named(call: Call, aws: Aws, failure: dict[str, Any], owner: str) -> None:
    """It decides whether the run starts the next one."""
    assert call("ReleaseLockAfterFailure", {"failure": failure})["owner"] == owner
