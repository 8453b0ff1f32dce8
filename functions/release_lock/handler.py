"""ReleaseLock: free the lock and the slot that this execution holds, and nothing else.

It is also the first step of the clean-up after an execution is aborted or times out.
"""

from __future__ import annotations

import os
from typing import Any

import boto3

from kiro_worker.environment import LocksEnvironment
from kiro_worker.lock.connect import connected_locks
from kiro_worker.lock.release import release, release_slot
from kiro_worker.observability import step
from kiro_worker.ownership import owner_of
from kiro_worker.state import StepEvent

dynamodb = boto3.client("dynamodb")
stepfunctions = boto3.client("stepfunctions")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """Return ``{"released": bool, "held": {…} | null, "redriveCount": int, "owner": str}``.

    ``owner`` is who has to act on the failure in the document; empty if there is none, or if nobody has to.
    """
    locks = connected_locks(dynamodb, stepfunctions, LocksEnvironment.parse(os.environ).locks_table_name)
    execution = stepfunctions.describe_execution(executionArn=event.execution_arn)
    release_slot(locks, event)
    held = release(locks, event)
    failure = event.document.failure
    return {
        "released": held is not None,
        "held": held,
        "redriveCount": execution.get("redriveCount", 0),
        "owner": (failure and owner_of(failure)) or "",
    }
