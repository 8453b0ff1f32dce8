from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from kiro_worker.config import Configuration, LockScope
from kiro_worker.errors import LockHeld, ScopedLockHeld
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import BASE_KEY, slot_keys
from kiro_worker.lock.release import release, release_slot
from kiro_worker.lock.slots import acquire_with_slot, keep_slot, release_slot_of_build
from kiro_worker.lock.table import LockTable
from kiro_worker.models import Lease
from kiro_worker.state import StateDocument, StepEvent

TABLE = "kiro-worker-test-locks"
ONE, TWO, THREE = (
    f"arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:{name}" for name in ("one", "two", "three")
)
BUILD = "kiro-worker-test:build"
BRANCH = f"{BASE_KEY}#acme/shop#"
NOW = 1_763_900_000.0


def bounded(most: int | None = 2, scope: LockScope = "branch") -> Configuration:
    document = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Ready"}
    return Configuration.model_validate(document | {"lockScope": scope, "maxConcurrentBuilds": most})


@dataclass
class World:
    """The table, and the executions that still run."""

    dynamodb: DynamoDBClient
    running: set[str] = field(default_factory=lambda: {ONE, TWO, THREE})
    requests: list[str] = field(default_factory=list)

    @property
    def locks(self) -> LockTable:
        return LockTable(self.dynamodb, TABLE, 7200, self.running.__contains__, lambda: NOW)

    def acquire(self, owner: str, branch: str = "", most: int | None = 2) -> Lease:
        return acquire_with_slot(self.locks, bounded(most), BRANCH + (branch or owner[-3:]), owner)

    def release(self, owner: str, **document: Any) -> Any:
        event = StepEvent(owner, 0, {}, "ReleaseLock", StateDocument.parse(document))
        release_slot(self.locks, event)
        return release(self.locks, event)

    def held(self) -> dict[str, str]:
        items = self.dynamodb.scan(TableName=TABLE, ConsistentRead=True)["Items"]
        return {item["lockKey"]["S"]: item["owner"]["S"] for item in items if "owner" in item}

    def slots(self) -> dict[str, str]:
        return {key: owner for key, owner in self.held().items() if "#slot-" in key}


@pytest.fixture
def world(aws: dict[str, Any]) -> World:
    dynamodb: DynamoDBClient = boto3.client("dynamodb", **aws)
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "lockKey", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "lockKey", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    world = World(dynamodb)

    def record(model: object, **_: object) -> None:
        world.requests.append(getattr(model, "name", "?"))

    dynamodb.meta.events.register("before-call.dynamodb", record)
    return world


@pytest.mark.parametrize(("most", "scope"), [(None, "branch"), (None, "repository"), (3, "environment")])
def test_without_a_bound_or_under_one_lock_there_are_no_places(most: int | None, scope: LockScope) -> None:
    assert slot_keys(bounded(most, scope)) == ()


def test_without_a_bound_a_cycle_costs_what_the_lock_costs(world: World) -> None:
    lease = world.acquire(ONE, most=None)
    assert lease.slot == ""
    assert world.release(ONE, lease=lease.to_dict())
    assert world.requests == ["UpdateItem", "UpdateItem"]


def test_as_many_as_configured_have_a_place_and_the_next_holds_nothing(world: World) -> None:
    assert {world.acquire(ONE).slot, world.acquire(TWO).slot} == set(slot_keys(bounded()))
    with pytest.raises(LockHeld, match="2 builds run, as many as may at once") as caught:
        world.acquire(THREE)
    assert "maxConcurrentBuilds" in caught.value.remedy
    assert THREE not in world.held().values()


def test_a_branch_that_is_locked_takes_no_place(world: World) -> None:
    world.acquire(ONE, "a")
    with pytest.raises(ScopedLockHeld):
        world.acquire(TWO, "a")
    assert list(world.slots().values()) == [ONE]


def test_a_step_that_runs_twice_takes_no_second_place(world: World) -> None:
    world.acquire(ONE)
    second = world.acquire(TWO)
    world.release(ONE)
    assert world.acquire(TWO).slot == second.slot
    assert world.slots() == {second.slot: TWO}


def test_a_place_whose_holder_has_ended_is_taken_over(world: World) -> None:
    world.acquire(ONE)
    taken = world.acquire(TWO).slot
    world.running.remove(TWO)
    assert world.acquire(THREE).slot == taken


@pytest.mark.parametrize("ended", ["with its lease", "without", "dead"])
def test_a_release_frees_the_lock_and_the_place_and_names_the_lock(world: World, ended: str) -> None:
    lease = world.acquire(ONE, "a")
    world.acquire(TWO, "b")
    document: dict[str, Any] = {}
    if ended == "with its lease":
        document = {"lease": lease.to_dict()}
    elif ended == "dead":
        document = {"endedAt": int(NOW + 60) * 1000}
        world.running.remove(ONE)
    assert world.release(ONE, **document)["lockKey"] == BRANCH + "a"
    assert set(world.held().values()) == {TWO}
    assert world.release(ONE, **document) is None


def test_the_clean_up_spares_the_place_of_an_execution_that_runs_again(world: World) -> None:
    world.acquire(ONE)
    assert world.release(ONE, endedAt=int(NOW + 60) * 1000) is None
    assert list(world.slots().values()) == [ONE]


def test_a_build_goes_on_with_its_place_at_the_price_of_one_read(world: World) -> None:
    lease = world.acquire(ONE)
    world.requests.clear()
    assert keep_slot(world.locks, bounded(), lease) == lease
    assert world.requests == ["GetItem"]
    assert keep_slot(world.locks, bounded(), replace(lease, slot="")).slot == "", "it was given none and needs none"


def test_a_build_whose_place_is_gone_takes_it_again_or_another(world: World) -> None:
    lease = world.acquire(ONE)
    world.release(ONE)
    assert keep_slot(world.locks, bounded(), lease) == lease
    world.release(ONE)
    assert world.acquire(TWO).slot == lease.slot
    other = keep_slot(world.locks, bounded(), lease)
    assert world.slots() == {lease.slot: TWO, other.slot: ONE}
    world.release(ONE, lease=lease.to_dict())
    assert world.slots() == {lease.slot: TWO}, "found by its owner, for the state document names the first"


def test_a_build_that_finds_no_place_has_not_lost_its_lock(world: World) -> None:
    lease = world.acquire(ONE)
    world.release(ONE)
    world.acquire(TWO)
    world.acquire(THREE)
    with pytest.raises(LockHeld, match="2 builds run"):
        keep_slot(world.locks, bounded(), lease)


def test_a_lower_bound_leaves_a_running_build_its_place(world: World) -> None:
    world.acquire(TWO)
    lease = world.acquire(ONE)
    assert lease.slot == slot_keys(bounded())[1]
    assert keep_slot(world.locks, bounded(1), lease) == lease


def test_a_build_started_by_hand_frees_its_own_place_alone(world: World) -> None:
    lease = world.acquire(ONE)
    release_slot_of_build(world.locks, lease.slot, TWO)
    release_slot_of_build(world.locks, "", ONE)
    assert world.slots() == {lease.slot: ONE}
    release_slot_of_build(world.locks, lease.slot, ONE)
    assert world.slots() == {}


def test_of_many_at_once_exactly_as_many_as_configured_go_on(world: World) -> None:
    owners = [f"{ONE}-{number}" for number in range(12)]
    world.running |= set(owners)
    barrier = threading.Barrier(len(owners))
    leases: list[Lease] = []

    def contend(owner: str) -> None:
        barrier.wait()
        try:
            leases.append(world.acquire(owner, owner[-5:], most=3))
        except LockHeld:
            return

    threads = [threading.Thread(target=contend, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len({lease.slot for lease in leases}) == len(leases) == 3
    assert sorted(world.held().values()) == sorted([lease.owner for lease in leases] * 2)


def test_a_build_that_takes_its_lock_again_takes_its_place_again(world: World) -> None:
    """After an abort and its clean-up, when a redrive begins at RunBuild."""
    lease = world.acquire(ONE)
    world.release(ONE)
    assert world.held() == {}
    ensured = world.locks.ensure(lease)
    assert ensured.slot == lease.slot
    assert keep_slot(world.locks, bounded(), ensured).slot == lease.slot
    assert world.slots() == {lease.slot: ONE}


def test_a_place_is_kept_while_the_build_that_was_given_up_works(world: World) -> None:
    lease = world.acquire(ONE)
    works = Subject("PVTI_1", "acme/shop", "one", BUILD)
    world.running.add(BUILD)
    lease = keep_slot(world.locks, bounded(), world.locks.ensure(lease, works), works)
    given_up = {"lease": lease.to_dict(), "failure": {"state": "RunBuild"}}
    assert world.release(ONE, **given_up) is None
    assert set(world.held().values()) == {ONE}
    assert len(world.held()) == 2
    world.running.remove(BUILD)
    assert world.release(ONE, **given_up)
    assert world.held() == {}


def test_a_place_that_was_left_behind_tells_no_card(world: World) -> None:
    subject = Subject("PVTI_1", "acme/shop", "one")
    acquire_with_slot(world.locks, bounded(), f"{BRANCH}one", ONE, subject)
    world.running.remove(ONE)
    cards = {holder.lock_key: holder.subject.work_item_id for holder in world.locks.abandoned()}
    assert sorted(cards.values()) == ["", "PVTI_1"]
    assert cards[f"{BRANCH}one"] == "PVTI_1"
