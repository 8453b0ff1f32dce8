"""ValidateWorkItem: is the card ready, and what exactly is to be built?"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import boto3

from kiro_worker.github.connect import configured_session
from kiro_worker.github.work import validate_item
from kiro_worker.models import StepEvent, WorkItem
from kiro_worker.observability import step

ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """The ``work``; raises ``WorkItemInvalid`` with every reason."""
    return asyncio.run(validate_work_item(WorkItem.from_dict(event.document["item"]), event.execution_arn))


async def validate_work_item(item: WorkItem, execution_arn: str) -> dict[str, Any]:
    async with configured_session(ssm, secrets, os.environ) as (session, configuration):
        work = await validate_item(session, configuration, item, execution_arn)
    return work.to_dict()
