"""A lock table in a DynamoDB server, and what surrounds it: a clock, running owners, and builds that can be stopped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.table import LockTable
from tests.support.memory_dynamodb import MemoryDynamoDB

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE: Final = "kiro-worker-test-locks"
EXECUTION: Final = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:{}"
ONE, TWO, THREE = (EXECUTION.format(name) for name in ("one", "two", "three"))
BUILD: Final = "kiro-worker-test:build"
STRANGER: Final = "stranger"
"""An owner that is neither an execution nor a build."""
NOW: Final = 1_763_900_000.0
LEASE_SECONDS: Final = 7200


def create_lock_table(client: DynamoDBClient, name: str = TABLE) -> None:
    create_table(client, name, "lockKey")


def create_table(client: DynamoDBClient, name: str, key: str) -> None:
    """Create a table and wait until it takes writes, which neither DynamoDB nor dynalite does at once."""
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


@dataclass
class LockWorld:
    """The table, a clock that only the test moves, the owners and builds that run, and the requests that were sent."""

    dynamodb: DynamoDBClient
    now: float = NOW
    running: set[str] = field(default_factory=lambda: {ONE, TWO, THREE, BUILD})
    requests: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The owners and builds about which the lock asked whether they run."""
    stopped_builds: list[str] = field(default_factory=list)
    builds_stop_at_once: bool = True

    @property
    def locks(self) -> LockTable:
        return self.locks_of_skewed_clock(0)

    def locks_of_skewed_clock(self, skew: float) -> LockTable:
        return LockTable(self.dynamodb, TABLE, LEASE_SECONDS, self.is_running, lambda: self.now + skew, self.stop_build)

    @classmethod
    def in_memory(cls) -> LockWorld:
        return cls(cast("DynamoDBClient", MemoryDynamoDB()))

    @property
    def memory(self) -> MemoryDynamoDB:
        """The client of a world that was made by :meth:`in_memory`."""
        client: object = self.dynamodb
        assert isinstance(client, MemoryDynamoDB)
        return client

    def is_running(self, owner: str) -> bool | None:
        self.asked.append(owner)
        return owner in self.running if ":" in owner else None

    def stop_build(self, build: str) -> None:
        self.stopped_builds.append(build)
        if self.builds_stop_at_once:
            self.running.discard(build)

    def item(self, key: str = BASE_KEY) -> dict[str, Any]:
        return dict(self.dynamodb.get_item(TableName=TABLE, Key={"lockKey": {"S": key}}).get("Item", {}))

    def owners_by_key(self) -> dict[str, str]:
        items = self.dynamodb.scan(TableName=TABLE, ConsistentRead=True)["Items"]
        return {item["lockKey"]["S"]: item["owner"]["S"] for item in items if "owner" in item}
