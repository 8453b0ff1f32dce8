"""UpdateStatus: the four moves of a card. The name of the calling state selects the move."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import boto3

from kiro_worker.environment import UpdateStatusEnvironment
from kiro_worker.github.cards import mark_failed, mark_in_progress, mark_in_review, reject
from kiro_worker.github.connect import configured_session
from kiro_worker.observability import step
from kiro_worker.records.table import RecordsTable
from kiro_worker.state import StepEvent

ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")
dynamodb = boto3.client("dynamodb")

MOVES = {"RejectWorkItem": reject, "MarkInProgress": mark_in_progress, "MarkInReview": mark_in_review}


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """Return ``{"status", "commentUrl"?, "commit"?}``: the card's status after the move."""
    return asyncio.run(update_status(event))


async def update_status(event: StepEvent) -> dict[str, Any]:
    environment = UpdateStatusEnvironment.parse(os.environ)
    async with configured_session(ssm, secrets, environment) as (session, configuration):
        if event.state == "MarkFailed":
            records = RecordsTable(dynamodb, environment.records_table_name)
            report = await mark_failed(session, configuration, event, records)
        else:
            report = await MOVES[event.state](session, configuration, event)
    return report.to_dict()
