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
from kiro_worker.github.selection import ExecutionInput
from kiro_worker.lock.connect import connected_locks
from kiro_worker.observability import count, step
from kiro_worker.records.table import RecordsTable
from kiro_worker.state import StepEvent
from kiro_worker.work_queue import QueueEdges, fetch_work_item

ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")
dynamodb = boto3.client("dynamodb")
stepfunctions = boto3.client("stepfunctions")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """Return ``{"item": WorkItem | null, "pinned", "skipped", "end", "reason", "hidden"}``."""
    request = ExecutionInput.parse(event.execution_input)
    environment = FetchWorkItemEnvironment.parse(os.environ)
    edges = QueueEdges(
        locks=connected_locks(dynamodb, stepfunctions, environment.locks_table_name),
        records=RecordsTable(dynamodb, environment.records_table_name),
        stepfunctions=stepfunctions,
        open_session=lambda: configured_session(ssm, secrets, environment),
    )
    fetched = asyncio.run(fetch_work_item(event, request, edges))
    for name, cards in (("HiddenCards", fetched.hidden), ("SkippedCards", len(fetched.skipped) if fetched.end else 0)):
        if cards:
            count(name, cards, event)
    return fetched.to_dict()
