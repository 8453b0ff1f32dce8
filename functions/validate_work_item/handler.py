"""ValidateWorkItem: is the card ready, and what exactly is to be built?"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import boto3

from kiro_worker.github.connect import configured_session
from kiro_worker.github.selection import ExecutionInput, validate_selected
from kiro_worker.models import StepEvent, WorkItem
from kiro_worker.observability import step

ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """The ``work``; raises ``WorkItemInvalid`` with every reason, ``WorkItemRefused`` for a card that is not queued."""
    request = ExecutionInput.parse(event.execution_input)
    item = WorkItem.from_dict(event.document["item"])
    return asyncio.run(validate_work_item(request, item, event.execution_arn))


async def validate_work_item(request: ExecutionInput, item: WorkItem, execution_arn: str) -> dict[str, Any]:
    async with configured_session(ssm, secrets, os.environ) as (session, configuration):
        work = await validate_selected(session, configuration, request, item, execution_arn)
    return work.to_dict()
