"""FetchWorkItem: select the next card in the target status, or the card that the input or a resumed failure names.

It first reports abandoned runs, whose cards would otherwise stay in progress.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import boto3

from kiro_worker.environment import FetchWorkItemEnvironment
from kiro_worker.github.connect import configured_session
from kiro_worker.github.selection import ExecutionInput, select_work_item
from kiro_worker.lock.connect import connected_locks
from kiro_worker.observability import count, step
from kiro_worker.records.table import RecordsTable
from kiro_worker.recovery import report_and_clear_abandoned_runs
from kiro_worker.state import StepEvent

ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")
dynamodb = boto3.client("dynamodb")
stepfunctions = boto3.client("stepfunctions")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """Return ``{"item": WorkItem | null}``."""
    request = ExecutionInput.parse(event.execution_input)
    return asyncio.run(fetch_work_item(event, request))


async def fetch_work_item(event: StepEvent, request: ExecutionInput) -> dict[str, Any]:
    environment = FetchWorkItemEnvironment.parse(os.environ)
    locks = connected_locks(dynamodb, stepfunctions, environment.locks_table_name)
    records = RecordsTable(dynamodb, environment.records_table_name)
    async with configured_session(ssm, secrets, environment) as (session, configuration):
        await report_and_clear_abandoned_runs(session, configuration, locks, records, stepfunctions)
        found = await select_work_item(session, configuration, request, event.document)
    if found.hidden:
        count("HiddenCards", found.hidden, event)
    return {"item": found.item.to_dict() if found.item else None}
