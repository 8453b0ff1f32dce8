"""FetchWorkItem: the next card in the target status, or the one that the input or a resumed failure names."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import boto3

from kiro_worker.github.connect import configured_session
from kiro_worker.github.selection import ExecutionInput, select_work_item
from kiro_worker.models import StepEvent
from kiro_worker.observability import step

ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """``{"item": WorkItem | null}``."""
    request = ExecutionInput.parse(event.execution_input)
    return asyncio.run(fetch_work_item(event, request))


async def fetch_work_item(event: StepEvent, request: ExecutionInput) -> dict[str, Any]:
    async with configured_session(ssm, secrets, os.environ) as (session, configuration):
        item = await select_work_item(session, configuration, request, event.document)
    return {"item": item.to_dict() if item else None}
