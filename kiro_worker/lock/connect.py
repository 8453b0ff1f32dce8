"""The lock's table, from what a step's environment names."""

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
    """Who acquires says for how long; the others only release."""
    return LockTable(
        dynamodb,
        table_name,
        lease_seconds,
        owner_is_running(stepfunctions, _codebuild),
        stop_build=build_stopper(_codebuild),
    )


@cache
def _codebuild() -> CodeBuildClient:
    """Made when it is needed: it is asked only about a build that may have been left behind."""
    import boto3

    return boto3.client("codebuild")
