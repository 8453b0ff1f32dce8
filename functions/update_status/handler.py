"""UpdateStatus: the five moves of a card. The name of the calling state selects the move."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import boto3

from kiro_worker.environment import UpdateStatusEnvironment
from kiro_worker.github.cards import mark_in_progress, mark_in_review, wait_in_queue
from kiro_worker.github.connect import configured_session
from kiro_worker.github.failed_cards import mark_failed
from kiro_worker.github.rejection import reject
from kiro_worker.observability import count, step
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


async def review(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
    return await mark_in_review(session, configuration, event, _records())


async def fail(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
    return await mark_failed(session, configuration, event, _records())


async def reject_card(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
    report = await reject(session, configuration, event)
    if not report.comment_url:
        # Then only the run's output shows the reason. A draft, for example, cannot have comments.
        count("UncommentedRejections", 1, event)
    return report


def _records() -> RecordsTable:
    return RecordsTable(dynamodb, UpdateStatusEnvironment.parse(os.environ).records_table_name)


MOVES = {
    "RejectWorkItem": reject_card,
    "ReturnToQueue": wait_in_queue,
    "MarkInProgress": mark_in_progress,
    "MarkInReview": review,
    "MarkFailed": fail,
}
