"""UpdateStatus: the four moves of a card. The name of the calling state selects the move."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import boto3

from kiro_worker.environment import UpdateStatusEnvironment
from kiro_worker.github.cards import mark_failed, mark_in_progress, mark_in_review
from kiro_worker.github.connect import configured_session
from kiro_worker.github.rejection import reject
from kiro_worker.observability import step
from kiro_worker.records.table import RecordsTable
from kiro_worker.state import StepEvent

if TYPE_CHECKING:
    from kiro_worker.config.model import Configuration
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.state import CardReport

ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")
dynamodb = boto3.client("dynamodb")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """Return ``{"status", "commentUrl"?, "commit"?, "notes"?}``: the card's status after the move."""
    return asyncio.run(update_status(event))


async def update_status(event: StepEvent) -> dict[str, Any]:
    environment = UpdateStatusEnvironment.parse(os.environ)
    async with configured_session(ssm, secrets, environment) as (session, configuration):
        report = await MOVES[event.state](session, configuration, event)
    return report.to_dict()


async def fail(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
    records = RecordsTable(dynamodb, UpdateStatusEnvironment.parse(os.environ).records_table_name)
    return await mark_failed(session, configuration, event, records)


MOVES = {
    "RejectWorkItem": reject,
    "MarkInProgress": mark_in_progress,
    "MarkInReview": mark_in_review,
    "MarkFailed": fail,
}
