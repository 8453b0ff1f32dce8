"""ReleaseLock: free what this execution holds, and nothing else. Also the first step of the clean-up after an
execution that died.
"""

from __future__ import annotations

import os
from typing import Any

import boto3

from kiro_worker.lock import LockTable, release
from kiro_worker.lock_owner import execution_is_running
from kiro_worker.models import StepEvent
from kiro_worker.observability import step
from kiro_worker.slots import release_slot

dynamodb = boto3.client("dynamodb")
stepfunctions = boto3.client("stepfunctions")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """``{"released": bool, "held": {…} | null, "redriveCount": int}``."""
    locks = LockTable(
        dynamodb,
        os.environ["LOCKS_TABLE_NAME"],
        lease_seconds=0,
        is_running=execution_is_running(stepfunctions),
    )
    execution = stepfunctions.describe_execution(executionArn=event.execution_arn)
    release_slot(locks, event)
    held = release(locks, event)
    return {"released": held is not None, "held": held, "redriveCount": execution.get("redriveCount", 0)}
