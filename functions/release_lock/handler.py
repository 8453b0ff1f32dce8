"""ReleaseLock: free what this execution holds, and nothing else. Also the first step of the clean-up after an
execution that died.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import boto3

from kiro_worker.lock import LockTable, release
from kiro_worker.lock_owner import build_stopper, owner_is_running
from kiro_worker.models import StepEvent
from kiro_worker.observability import step
from kiro_worker.slots import release_slot

if TYPE_CHECKING:
    from mypy_boto3_codebuild import CodeBuildClient

dynamodb = boto3.client("dynamodb")
stepfunctions = boto3.client("stepfunctions")


def codebuild() -> CodeBuildClient:
    """Made when it is needed: it is asked only about a build that may have been left behind."""
    return boto3.client("codebuild")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """``{"released": bool, "held": {…} | null, "redriveCount": int}``."""
    locks = LockTable(
        dynamodb,
        os.environ["LOCKS_TABLE_NAME"],
        lease_seconds=0,
        is_running=owner_is_running(stepfunctions, codebuild),
        stop_build=build_stopper(codebuild),
    )
    execution = stepfunctions.describe_execution(executionArn=event.execution_arn)
    release_slot(locks, event)
    held = release(locks, event)
    return {"released": held is not None, "held": held, "redriveCount": execution.get("redriveCount", 0)}
