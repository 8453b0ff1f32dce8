"""ValidateWorkItem: check that the card is ready, and determine exactly what to build."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import boto3

from kiro_worker.environment import GitHubEnvironment
from kiro_worker.github.connect import configured_session
from kiro_worker.github.selection import ExecutionInput, validate_selected
from kiro_worker.observability import step
from kiro_worker.state import StepEvent, require

ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """Return what to build.

    Raises ``WorkItemInvalid`` with every reason, and ``WorkItemRefused`` for a card that the queue did not select.
    """
    request = ExecutionInput.parse(event.execution_input)
    return asyncio.run(validate_work_item(event, request))


async def validate_work_item(event: StepEvent, request: ExecutionInput) -> dict[str, Any]:
    item = require(event.document.item, "item")
    async with configured_session(ssm, secrets, GitHubEnvironment.parse(os.environ)) as (session, configuration):
        work = await validate_selected(session, configuration, request, item, event.execution_arn)
    return work.to_dict()
