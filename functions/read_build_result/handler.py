"""ReadBuildResult: find out what a build did that Step Functions reports as failed."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import boto3

from kiro_worker.build_result import BuildEdges, read_build_result
from kiro_worker.builds.reader import BuildReader
from kiro_worker.environment import ReadBuildResultEnvironment
from kiro_worker.github.connect import configured_session
from kiro_worker.lock.store import LockStore
from kiro_worker.observability import step
from kiro_worker.records.table import RecordsTable
from kiro_worker.state import StepEvent

ssm = boto3.client("ssm")
secrets = boto3.client("secretsmanager")
dynamodb = boto3.client("dynamodb")
codebuild = boto3.client("codebuild")


@step
def handler(event: StepEvent) -> dict[str, Any]:
    """Return ``{"build": {…}, "repeat": bool, "failure"?: {…}}``: without ``failure``, the work is pushed."""
    environment = ReadBuildResultEnvironment.parse(os.environ)
    edges = BuildEdges(
        builds=BuildReader(codebuild, environment.build_project_name),
        locks=LockStore(dynamodb, environment.locks_table_name),
        records=RecordsTable(dynamodb, environment.records_table_name),
        open_session=lambda: configured_session(ssm, secrets, environment),
    )
    return asyncio.run(read_build_result(event, edges))
