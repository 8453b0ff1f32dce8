"""FetchWorkItem: the next card in the target status, or the one that the input or a resumed failure names. Before
that, cards that a run which died has left in progress are told so.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import boto3

from kiro_worker.github.connect import configured_session
from kiro_worker.github.selection import ExecutionInput, select_work_item
from kiro_worker.github.cards import report_abandoned_run
from kiro_worker.lock.connect import connected_locks
from kiro_worker.lock.owner import ending_of
from kiro_worker.models import Failure, StepEvent
from kiro_worker.observability import step

ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")
dynamodb = boto3.client("dynamodb")
stepfunctions = boto3.client("stepfunctions")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """``{"item": WorkItem | null}``."""
    request = ExecutionInput.parse(event.execution_input)
    return asyncio.run(fetch_work_item(event, request))


async def fetch_work_item(event: StepEvent, request: ExecutionInput) -> dict[str, Any]:
    locks = connected_locks(dynamodb, stepfunctions, os.environ)
    async with configured_session(ssm, secrets, os.environ) as (session, configuration):
        for holder in locks.abandoned():
            execution = holder.owner or holder.report_pending
            error, cause = ending_of(stepfunctions, execution)
            await report_abandoned_run(
                session, configuration, holder, execution, Failure("", error or "Unknown", cause)
            )
            locks.clear_abandoned(holder)
        item = await select_work_item(session, configuration, request, event.document)
    return {"item": item.to_dict() if item else None}
