"""UpdateStatus: the four moves of a card, by the name of the state that calls."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import boto3

from kiro_worker.github.connect import configured_session
from kiro_worker.github.cards import mark_failed, mark_in_progress, mark_in_review, reject
from kiro_worker.models import StepEvent
from kiro_worker.observability import step

ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")

MOVES = {
    "RejectWorkItem": reject,
    "MarkInProgress": mark_in_progress,
    "MarkInReview": mark_in_review,
    "MarkFailed": mark_failed,
}


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """``{"status", "commentUrl"?, "commit"?}``, the card's status afterwards."""
    return asyncio.run(update_status(event))


async def update_status(event: StepEvent) -> dict[str, Any]:
    async with configured_session(ssm, secrets, os.environ) as (session, configuration):
        return await MOVES[event.state](session, configuration, event)
