"""FetchWorkItem: select the next card in the target status, or the card that the input or a resumed failure names.

It first reports abandoned runs, whose cards would otherwise stay in progress.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import boto3

from kiro_worker.config.parameter import load_configuration
from kiro_worker.environment import FetchWorkItemEnvironment
from kiro_worker.fetched import Fetched
from kiro_worker.github.connect import session_of
from kiro_worker.github.selection import ExecutionInput
from kiro_worker.lock.connect import connected_locks
from kiro_worker.observability import count, seconds, step
from kiro_worker.passed_over import counts
from kiro_worker.records.table import RecordsTable
from kiro_worker.state import StepEvent
from kiro_worker.work_queue import QueueEdges, fetch_work_item

ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")
dynamodb = boto3.client("dynamodb")
stepfunctions = boto3.client("stepfunctions")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """Return ``{"item": WorkItem | null, "pinned", "skipped", "end", "reason", "passedOver"}``."""
    request = ExecutionInput.parse(event.execution_input)
    environment = FetchWorkItemEnvironment.parse(os.environ)
    edges = QueueEdges(
        locks=connected_locks(dynamodb, stepfunctions, environment.locks_table_name),
        records=RecordsTable(dynamodb, environment.records_table_name),
        stepfunctions=stepfunctions,
        load_configuration=lambda: load_configuration(ssm, environment.config_parameter_name),
        open_session=lambda configuration: session_of(configuration, secrets, environment),
    )
    fetched = asyncio.run(fetch_work_item(event, request, edges))
    _report(fetched, event)
    return fetched.to_dict()


def _report(fetched: Fetched, event: StepEvent) -> None:
    """Report the length of the queue as metrics. A run that read nothing of it reports nothing of it."""
    if fetched.waiting is not None:
        count("CardsWaiting", fetched.waiting, event)
    if fetched.oldest_seconds is not None:
        seconds("OldestCardAge", fetched.oldest_seconds, event)
    if fetched.builds is not None:
        count("SlotsInUse", fetched.builds, event)
    for why, cards in counts(fetched.passed_over, fetched.hidden).items():
        count("CardsPassedOver", cards, event, why=why)
    if fetched.end and fetched.skipped:
        count("SkippedCards", len(fetched.skipped), event)
