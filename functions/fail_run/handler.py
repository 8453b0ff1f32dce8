"""FailRun: fail with the name and cause of the original error; when redriven, return so that the run starts over.

A Fail state would fail again on every redrive, and a redrive does not repeat a Task whose error was caught. A Task that
fails itself is the only state from which a redrive can continue.
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
    """Return ``{"resumed": true}`` after a redrive. Otherwise, raises the failure in the state document."""
    failure = require(event.document.failure, "failure")
    # Use the larger count: AWS does not document whether the arguments of a redriven Task are evaluated again.
    described = stepfunctions.describe_execution(executionArn=event.execution_arn).get("redriveCount", 0)
    if max(event.redrive_count, described) <= failure.redrive_count:
        raise_by_name(failure.name, failure.reason)
    return {"resumed": True}
