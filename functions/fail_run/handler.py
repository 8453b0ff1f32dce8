"""FailRun: fail with the original error's own name and cause; redriven, return, so that the run starts over.

A Fail state would fail again on every redrive, and a caught Task is never rerun: only a Task that itself fails is.
"""

from __future__ import annotations

from typing import Any

import boto3

from kiro_worker.errors import raise_by_name
from kiro_worker.models import Failure, StepEvent
from kiro_worker.observability import step

stepfunctions = boto3.client("stepfunctions")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """``{"resumed": true}``; raises the failure that the state document holds."""
    failure = Failure.from_dict(event.document["failure"])
    # The larger of the two: it is not documented that a redriven Task's arguments are evaluated again.
    described = stepfunctions.describe_execution(executionArn=event.execution_arn).get("redriveCount", 0)
    if max(event.redrive_count, described) <= failure.redrive_count:
        raise_by_name(failure.name, failure.reason)
    return {"resumed": True}
