"""ReleaseLock: free what this execution holds, and nothing else. Also the first step of the clean-up after an
execution that died.
"""

from __future__ import annotations

import os
from typing import Any

import boto3

from kiro_worker.lock.connect import connected_locks
from kiro_worker.lock.release import release, release_slot
from kiro_worker.models import StepEvent
from kiro_worker.observability import step

dynamodb = boto3.client("dynamodb")
stepfunctions = boto3.client("stepfunctions")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """``{"released": bool, "held": {…} | null, "redriveCount": int}``."""
    locks = connected_locks(dynamodb, stepfunctions, os.environ)
    execution = stepfunctions.describe_execution(executionArn=event.execution_arn)
    release_slot(locks, event)
    held = release(locks, event)
    return {"released": held is not None, "held": held, "redriveCount": execution.get("redriveCount", 0)}
