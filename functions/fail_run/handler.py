"""FailRun: fail with the name and cause of the original error; when redriven, return, so that the run starts over.

A Fail state would fail again on every redrive, and a caught Task never runs again: only a Task that itself fails does.
"""

from __future__ import annotations

from typing import Any

import boto3

from kiro_worker.errors import raise_by_name
from kiro_worker.observability import step
from kiro_worker.state import StepEvent, require

stepfunctions = boto3.client("stepfunctions")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """``{"resumed": true}``. Raises the failure that the state document holds."""
    failure = require(event.document.failure, "failure")
    # The larger count decides: AWS does not document that the arguments of a redriven Task are evaluated again.
    described = stepfunctions.describe_execution(executionArn=event.execution_arn).get("redriveCount", 0)
    if max(event.redrive_count, described) <= failure.redrive_count:
        raise_by_name(failure.name, failure.reason)
    return {"resumed": True}
