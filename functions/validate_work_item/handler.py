"""ValidateWorkItem: check that the installation and the card are ready, and determine exactly what to build."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import boto3

from kiro_worker.config.resolve import resolve
from kiro_worker.environment import ValidateWorkItemEnvironment
from kiro_worker.github.connect import configured_session
from kiro_worker.github.selection import ExecutionInput, validate_selected
from kiro_worker.observability import step
from kiro_worker.preflight import prepare_machine, require_installation
from kiro_worker.records.runs import read_run
from kiro_worker.records.table import RecordsTable
from kiro_worker.state import StepEvent, require

codebuild = boto3.client("codebuild")
dynamodb = boto3.client("dynamodb")
ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """Return what to build.

    Raises ``WorkItemInvalid`` with every reason, and ``WorkItemRefused`` for a card that the queue did not select. An
    error of the installation fails the run and leaves the card in the target status.
    """
    request = ExecutionInput.parse(event.execution_input)
    return asyncio.run(validate_work_item(event, request))


async def validate_work_item(event: StepEvent, request: ExecutionInput) -> dict[str, Any]:
    item = require(event.document.item, "item")
    environment = ValidateWorkItemEnvironment.parse(os.environ)
    records = RecordsTable(dynamodb, environment.records_table_name)
    async with configured_session(ssm, secrets, environment) as (session, configuration):
        # Before GitHub is asked, without the repository's own file, which may choose another agent or machine.
        project = require_installation(secrets, codebuild, environment, resolve(configuration, item.repository))
        work = await validate_selected(
            session,
            configuration,
            request,
            item,
            lambda: read_run(records, event.execution_arn),
            lambda settings: prepare_machine(secrets, environment, project, settings),
        )
    return work.to_dict()
