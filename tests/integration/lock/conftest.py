from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.support.lock_table import LockWorld, create_lock_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def world(aws: dict[str, Any]) -> LockWorld:
    return recording_world(aws)


def recording_world(aws: dict[str, Any]) -> LockWorld:
    """A lock table on the server that ``aws`` names, which records the requests to it."""
    dynamodb: DynamoDBClient = boto3.client("dynamodb", **aws)
    create_lock_table(dynamodb)
    world = LockWorld(dynamodb)

    def record(model: object, **_: object) -> None:
        world.requests.append(getattr(model, "name", "?"))

    dynamodb.meta.events.register("before-call.dynamodb", record)
    return world
