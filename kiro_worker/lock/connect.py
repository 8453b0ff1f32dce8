"""The lock table that a step's environment variables name."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from kiro_worker.lock.owner import build_stopper, owner_is_running
from kiro_worker.lock.table import LockTable

if TYPE_CHECKING:
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_stepfunctions import SFNClient


def connected_locks(
    dynamodb: DynamoDBClient, stepfunctions: SFNClient, table_name: str, lease_seconds: int = 0
) -> LockTable:
    """The lock table of this environment. Only a step that acquires locks passes ``lease_seconds``."""
    return LockTable(
        dynamodb,
        table_name,
        lease_seconds,
        owner_is_running(stepfunctions, _codebuild),
        stop_build=build_stopper(_codebuild),
    )


@cache
def _codebuild() -> CodeBuildClient:
    """The CodeBuild client, created on first use because only a possibly abandoned build needs it."""
    import boto3

    return boto3.client("codebuild")
