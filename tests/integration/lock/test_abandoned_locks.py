"""What executions that have ended leave behind in the lock's table: locks, cards that were not told, builds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from kiro_worker.errors import LockHeld
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.release import release
from kiro_worker.lock.table import LockTable
from kiro_worker.models import Lease
from kiro_worker.state import StateDocument, StepEvent

TABLE = "kiro-worker-test-locks"
ONE = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
TWO = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:two"
BUILD = "kiro-worker-test:build"
CARD = Subject("PVTI_1", "acme/shop", "feature/x", BUILD)


@dataclass
class World:
    """The table, what runs, and which builds were told to stop; ``obeys`` is whether they do at once."""

    locks: LockTable = field(init=False)
    dynamodb: DynamoDBClient
    running: set[str] = field(default_factory=lambda: {ONE, TWO, BUILD})
    stopped: list[str] = field(default_factory=list)
    obeys: bool = True

    def __post_init__(self) -> None:
        self.locks = LockTable(
            self.dynamodb, TABLE, 7200, lambda owner: owner in self.running, lambda: 1_763_900_000.0, self.stop
        )

    def stop(self, build: str) -> None:
        self.stopped.append(build)
        if self.obeys:
            self.running.discard(build)

    def item(self) -> dict[str, Any]:
        return dict(self.dynamodb.get_item(TableName=TABLE, Key={"lockKey": {"S": BASE_KEY}}).get("Item", {}))

    def release(self, lease: Lease, **document: Any) -> object:
        parsed = StateDocument.parse({"lease": lease.to_dict(), **document})
        return release(self.locks, StepEvent(lease.owner, 0, {}, "ReleaseLock", parsed))


@pytest.fixture
def world(aws: dict[str, Any]) -> World:
    dynamodb: DynamoDBClient = boto3.client("dynamodb", **aws)
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "lockKey", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "lockKey", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return World(dynamodb)


def test_nothing_is_abandoned_while_its_execution_runs(world: World) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, CARD)
    assert world.locks.abandoned() == []
    world.release(lease, report_pending=True)
    assert world.locks.abandoned() == [], "it may be redriven and tell the card itself"


def test_a_lock_whose_owner_has_ended_is_abandoned_with_its_card_until_it_is_settled(world: World) -> None:
    world.locks.acquire(BASE_KEY, ONE, Subject("PVTI_1"))
    world.running.remove(ONE)
    [holder] = world.locks.abandoned()
    assert (holder.owner, holder.subject.work_item_id) == (ONE, "PVTI_1")
    world.locks.clear_abandoned(holder)
    assert "owner" not in world.item()
    assert world.locks.abandoned() == []


def test_a_card_that_was_not_told_is_remembered_by_the_lock_that_was_freed(world: World) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, Subject("PVTI_1"))
    world.release(lease, report_pending=True)
    world.running.remove(ONE)
    assert ("owner" in world.item(), world.item()["reportPending"]) == (False, {"S": ONE})
    [holder] = world.locks.abandoned()
    world.locks.clear_abandoned(holder)
    assert "reportPending" not in world.item()


def test_an_orderly_release_remembers_nothing(world: World) -> None:
    world.release(world.locks.acquire(BASE_KEY, ONE, Subject("PVTI_1")))
    world.running.remove(ONE)
    assert world.locks.abandoned() == []


def test_what_another_took_meanwhile_is_not_settled(world: World) -> None:
    world.locks.acquire(BASE_KEY, ONE, Subject("PVTI_1"))
    world.running.remove(ONE)
    [holder] = world.locks.abandoned()
    world.locks.acquire(BASE_KEY, TWO, Subject("PVTI_2"))
    world.locks.clear_abandoned(holder)
    assert world.item()["owner"] == {"S": TWO}


def test_a_build_that_outlives_its_execution_is_stopped_before_its_lock_is_taken_over(world: World) -> None:
    world.locks.acquire(BASE_KEY, ONE, CARD)
    world.running.remove(ONE)
    assert world.locks.acquire(BASE_KEY, TWO).owner == TWO
    assert world.stopped == [BUILD]


def test_a_build_that_does_not_stop_at_once_keeps_the_lock(world: World) -> None:
    world.obeys = False
    world.locks.acquire(BASE_KEY, ONE, CARD)
    world.running.remove(ONE)
    with pytest.raises(LockHeld):
        world.locks.acquire(BASE_KEY, TWO)
    assert world.locks.abandoned() == []
    assert world.locks.release_owned(ONE, acquired_before=9e9) is None
    world.running.remove(BUILD)
    assert world.locks.acquire(BASE_KEY, TWO).owner == TWO


def test_a_run_that_gave_its_build_up_does_not_free_the_lock_under_it(world: World) -> None:
    """The start's answer was lost, or the state's own time was up."""
    world.obeys = False
    lease = world.locks.acquire(BASE_KEY, ONE, CARD)
    failure = {"state": "RunBuild", "error": "States.Timeout", "cause": ""}
    assert world.release(lease, failure=failure) is None
    assert world.item()["owner"] == {"S": ONE}
    assert world.stopped == [BUILD]
    world.running.remove(BUILD)
    assert world.release(lease, failure=failure) is not None


def test_the_build_of_another_who_has_the_lock_now_is_left_alone(world: World) -> None:
    """After ``LockLost``: what runs under the lock is somebody else's."""
    lease = world.locks.acquire(BASE_KEY, ONE)
    world.locks.release(lease)
    world.locks.acquire(BASE_KEY, TWO, CARD)
    assert world.release(lease, failure={"state": "RunBuild", "error": "States.TaskFailed", "cause": ""}) is None
    assert (world.stopped, world.item()["owner"]) == ([], {"S": TWO})


def test_a_lock_that_notes_an_untold_card_is_not_taken_before_its_run_has_ended(world: World) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, CARD)
    world.release(lease, report_pending=True)
    with pytest.raises(LockHeld, match="one"):
        world.locks.acquire(BASE_KEY, TWO)
    assert world.locks.abandoned() == []
    world.running -= {ONE, BUILD}
    [holder] = world.locks.abandoned()
    assert holder.report_pending == ONE
    assert world.locks.acquire(BASE_KEY, TWO).fence > lease.fence


def test_its_own_untold_card_is_no_obstacle_to_a_run_that_is_redriven(world: World) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, CARD)
    world.release(lease, report_pending=True)
    assert world.locks.acquire(BASE_KEY, ONE).fence > lease.fence
    assert "reportPending" not in world.item()


def test_an_item_with_nothing_but_a_note_that_somebody_wrote_is_settled(world: World) -> None:
    world.dynamodb.put_item(TableName=TABLE, Item={"lockKey": {"S": BASE_KEY}, "reportPending": {"S": "gone"}})
    for holder in world.locks.abandoned():
        world.locks.clear_abandoned(holder)
    assert "reportPending" not in world.item()
