from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from mypy_boto3_dynamodb import DynamoDBClient

from kiro_worker.errors import LockHeld, LockLost, ScopedLockHeld
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.release import release
from kiro_worker.lock.table import LockTable
from kiro_worker.models import Lease
from kiro_worker.state import StateDocument, StepEvent

TABLE = "kiro-worker-test-locks"
ONE = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
TWO = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:two"
STRANGER = "somebody"
LEASE = 7200


@dataclass
class World:
    """The table, a clock that stands until it is set, and the executions that still run."""

    dynamodb: DynamoDBClient
    now: float = 1_763_900_000.0
    running: set[str] = field(default_factory=lambda: {ONE, TWO})
    requests: list[str] = field(default_factory=list)

    def locks(self, skew: float = 0) -> LockTable:
        return LockTable(self.dynamodb, TABLE, LEASE, self.is_running, lambda: self.now + skew)

    def is_running(self, owner: str) -> bool | None:
        return owner in self.running if ":" in owner else None

    def item(self, key: str = BASE_KEY) -> dict[str, object]:
        return dict(self.dynamodb.get_item(TableName=TABLE, Key={"lockKey": {"S": key}}).get("Item", {}))


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


def event(owner: str, **document: object) -> StepEvent:
    return StepEvent(owner, 0, {}, "ReleaseLock", StateDocument.parse(document))


def test_a_quiet_cycle_costs_two_requests(world: World) -> None:
    locks = world.locks()
    lease = locks.acquire(BASE_KEY, ONE, Subject("PVTI_1", "acme/shop", "feature/x"))
    assert locks.release(lease)
    assert world.requests == ["UpdateItem", "UpdateItem"]


def test_the_item_tells_people_who_holds_it(world: World) -> None:
    lease = world.locks().acquire(BASE_KEY, ONE, Subject("PVTI_1", "acme/shop", "feature/x", "build:1"))
    assert world.item() == {
        "lockKey": {"S": BASE_KEY},
        "owner": {"S": ONE},
        "fence": {"N": str(lease.fence)},
        "acquiredAt": {"S": "2025-11-23T12:13:20.000Z"},
        "expiresAt": {"N": str(int(world.now) + LEASE)},
        "workItemId": {"S": "PVTI_1"},
        "repository": {"S": "acme/shop"},
        "branch": {"S": "feature/x"},
        "buildId": {"S": "build:1"},
    }


def test_a_live_holder_keeps_the_lock(world: World) -> None:
    world.locks().acquire(BASE_KEY, ONE)
    with pytest.raises(LockHeld, match="execution:kiro-worker-test:one") as caught:
        world.locks().acquire(BASE_KEY, TWO)
    assert "aws stepfunctions describe-execution" in caught.value.remedy


def test_a_narrow_lock_has_its_own_error_and_leaves_others_alone(world: World) -> None:
    world.locks().acquire(f"{BASE_KEY}#acme/shop#a", ONE)
    with pytest.raises(ScopedLockHeld):
        world.locks().acquire(f"{BASE_KEY}#acme/shop#a", TWO)
    world.locks().acquire(f"{BASE_KEY}#acme/shop#b", TWO)


def test_a_holder_that_has_ended_is_taken_over_at_once(world: World) -> None:
    first = world.locks().acquire(BASE_KEY, ONE)
    world.running.remove(ONE)
    assert world.locks().acquire(BASE_KEY, TWO).fence > first.fence


def test_an_expired_lease_is_not_taken_from_a_holder_that_runs(world: World) -> None:
    world.locks().acquire(BASE_KEY, ONE)
    world.now += LEASE + 86400
    with pytest.raises(LockHeld):
        world.locks().acquire(BASE_KEY, TWO)


@pytest.mark.parametrize(("after", "taken"), [(-1, False), (599, False), (601, True)])
def test_expiry_decides_only_for_an_owner_that_nobody_knows_and_allows_for_two_clocks(
    world: World, after: float, taken: bool
) -> None:
    """The owner's clock was five minutes behind, ours is five minutes ahead."""
    world.locks(-300).acquire(BASE_KEY, STRANGER)
    world.now += LEASE + after - 600
    if taken:
        assert world.locks(300).acquire(BASE_KEY, TWO).owner == TWO
        return
    with pytest.raises(LockHeld) as caught:
        world.locks(300).acquire(BASE_KEY, TWO)
    assert f"aws dynamodb delete-item --table-name {TABLE}" in caught.value.remedy


def test_acquiring_again_after_a_lost_answer_is_still_one_holder(world: World) -> None:
    first = world.locks().acquire(BASE_KEY, ONE)
    again = world.locks().acquire(BASE_KEY, ONE)
    assert again.fence > first.fence
    assert not world.locks().release(first)
    assert world.locks().release(again)


@pytest.mark.parametrize("skew", [-300.0, 300.0])
def test_the_fence_rises_whatever_the_writers_clocks_say(world: World, skew: float) -> None:
    fences = []
    for owner, clock in ((ONE, 0.0), (TWO, skew), (ONE, 0.0)):
        lease = world.locks(clock).acquire(BASE_KEY, owner)
        fences.append(lease.fence)
        world.locks(clock).release(lease)
    assert fences == sorted(set(fences))


def test_the_fence_rises_over_a_deleted_item(world: World) -> None:
    first = world.locks().acquire(BASE_KEY, ONE)
    world.dynamodb.delete_item(TableName=TABLE, Key={"lockKey": {"S": BASE_KEY}})
    world.now += 0.002
    assert world.locks().acquire(BASE_KEY, TWO).fence > first.fence


def test_release_frees_only_its_own_fence(world: World) -> None:
    lease = world.locks().acquire(BASE_KEY, ONE)
    assert world.locks().release(lease)
    assert not world.locks().release(lease)
    world.locks().acquire(BASE_KEY, TWO)
    assert not world.locks().release(lease)
    assert world.item()["owner"] == {"S": TWO}


@pytest.mark.parametrize(
    "item",
    [
        {"expiresAt": {"N": "1763890000000"}, "owner": {"S": "some-lambda"}, "ttl": {"S": "x"}},
        {"expiresAt": {"S": "soon"}},
        {"fence": {"S": "by hand"}},
        {"owner": {"S": ""}, "expiresAt": {"N": "1"}},
        {"owner": {"N": "5"}, "fence": {"NULL": True}, "buildId": {"L": [{"S": "x"}]}},
        {"owner": {"M": {"name": {"S": "x"}}}, "fence": {"N": "1E+30"}},
        {"owner": {"S": "somebody"}, "expiresAt": {"N": "1E+30"}, "fence": {"N": "-3.5"}},
        {"lockId": {"S": "f3"}, "executionId": {"S": "e1"}, "acquiredAt": {"N": "1763890000000"}},
        {},
    ],
    ids=[
        *("original system, milliseconds", "expiry is a text", "fence is a text", "empty owner", "owner is a number"),
        *("owner is a map", "expiry is no time", "original system, no owner", "bare"),
    ],
)
def test_items_that_others_wrote_do_not_block(world: World, item: dict[str, dict[str, str]]) -> None:
    world.dynamodb.put_item(TableName=TABLE, Item={"lockKey": {"S": BASE_KEY}, **item})
    assert world.locks().acquire(BASE_KEY, ONE).owner == ONE


@pytest.mark.parametrize("edit", ["expiresAt", "acquiredAt", "fence"])
def test_an_attribute_that_a_person_removed_does_not_free_a_live_lock(world: World, edit: str) -> None:
    world.locks().acquire(BASE_KEY, ONE)
    world.dynamodb.update_item(TableName=TABLE, Key={"lockKey": {"S": BASE_KEY}}, UpdateExpression=f"REMOVE {edit}")
    with pytest.raises(LockHeld):
        world.locks().acquire(BASE_KEY, TWO)
    world.running.remove(ONE)
    assert world.locks().acquire(BASE_KEY, TWO).owner == TWO


def test_of_many_who_ask_at_once_one_gets_it(world: World) -> None:
    for attempt in range(5):
        barrier = threading.Barrier(8)
        winners: list[Lease] = []

        def contend(owner: str, barrier: threading.Barrier = barrier, winners: list[Lease] = winners) -> None:
            barrier.wait()
            try:
                winners.append(world.locks().acquire(BASE_KEY, owner))
            except LockHeld:
                return

        owners = [f"{ONE}-{attempt}-{number}" for number in range(8)]
        world.running |= set(owners)
        threads = [threading.Thread(target=contend, args=(owner,)) for owner in owners]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert len(winners) == 1
        assert world.locks().release(winners[0])


def test_ensure_goes_on_with_the_same_lease(world: World) -> None:
    lease = world.locks().acquire(BASE_KEY, ONE)
    assert world.locks().ensure(lease) == lease


def test_ensure_takes_a_free_lock_under_a_later_fence(world: World) -> None:
    lease = world.locks().acquire(BASE_KEY, ONE)
    world.dynamodb.delete_item(TableName=TABLE, Key={"lockKey": {"S": BASE_KEY}})
    assert world.locks().ensure(lease).fence > lease.fence


@pytest.mark.parametrize("other", [TWO, ONE], ids=["another execution", "a later attempt of the same execution"])
def test_ensure_gives_up_when_the_lock_is_anothers(world: World, other: str) -> None:
    lease = world.locks().acquire(BASE_KEY, ONE)
    world.locks().release(lease)
    world.now += 1
    later = world.locks().acquire(BASE_KEY, other)
    with pytest.raises(LockLost):
        world.locks().ensure(lease)
    assert world.item()["fence"] == {"N": str(later.fence)}


def test_ensure_notes_the_build_and_puts_the_expiry_off(world: World) -> None:
    lease = world.locks().acquire(BASE_KEY, ONE, Subject("PVTI_1"))
    world.now += LEASE - 60
    kept = world.locks().ensure(lease, Subject("PVTI_1", build_id="kiro-worker-test:1"))
    assert (kept.fence, kept.expires_at) == (lease.fence, int(world.now) + LEASE)
    assert world.item()["buildId"] == {"S": "kiro-worker-test:1"}
    assert world.item()["acquiredAt"] == {"S": "2025-11-23T12:13:20.000Z"}
    world.requests.clear()
    assert world.locks().ensure(kept, Subject("PVTI_1", build_id="kiro-worker-test:1")) == kept
    assert world.requests == ["GetItem"]


def test_of_two_builds_of_one_execution_the_later_waits_for_the_earlier_to_end(world: World) -> None:
    """The execution was aborted and redriven, and the abort's StopBuild did not take place."""
    first, second = Subject(build_id="kiro-worker-test:1"), Subject(build_id="kiro-worker-test:2")
    lease = world.locks().acquire(BASE_KEY, ONE)
    world.locks().ensure(lease, first)
    world.running.add(first.build_id)
    with pytest.raises(LockLost, match="kiro-worker-test:1 of the same execution still runs"):
        world.locks().ensure(lease, second)
    world.running.remove(first.build_id)
    assert world.locks().ensure(lease, second).fence == lease.fence


def test_a_build_that_its_execution_left_behind_does_not_take_the_lock_again(world: World) -> None:
    lease = world.locks().acquire(BASE_KEY, ONE)
    world.locks().release(lease)
    world.running.remove(ONE)
    with pytest.raises(LockLost, match="has ended"):
        world.locks().ensure(lease)
    assert "owner" not in world.item()


def test_release_frees_every_lock_of_an_execution_whose_scope_was_changed(world: World) -> None:
    world.locks().acquire(BASE_KEY, ONE)
    world.locks().acquire(f"{BASE_KEY}#acme/shop", ONE)
    assert release(world.locks(), event(ONE))
    assert "owner" not in world.item()
    assert "owner" not in world.item(f"{BASE_KEY}#acme/shop")


def clean_up(world: World, after: float, *, running: bool) -> dict[str, str] | None:
    world.running = {ONE} if running else set()
    return release(world.locks(), event(ONE, endedAt=int((world.now + after) * 1000)))


def test_the_clean_up_frees_what_a_dead_execution_left_and_says_what_it_was(world: World) -> None:
    world.locks().acquire(BASE_KEY, ONE, Subject("PVTI_1", "acme/shop", "feature/x"))
    assert clean_up(world, 60, running=False) == {
        "lockKey": BASE_KEY,
        "workItemId": "PVTI_1",
        "repository": "acme/shop",
        "branch": "feature/x",
    }
    assert clean_up(world, 60, running=False) is None


def test_the_clean_up_spares_a_running_execution_and_a_lock_taken_after_the_event(world: World) -> None:
    world.locks().acquire(BASE_KEY, ONE)
    assert clean_up(world, 60, running=True) is None
    assert clean_up(world, -60, running=False) is None
    assert world.item()["owner"] == {"S": ONE}


@pytest.mark.parametrize("ended", ["well", "badly"])
def test_release_follows_the_fence_that_the_build_took(world: World, ended: str) -> None:
    lease = world.locks().acquire(BASE_KEY, ONE)
    world.dynamodb.delete_item(TableName=TABLE, Key={"lockKey": {"S": BASE_KEY}})
    taken = world.locks().ensure(lease)
    variables = f'[{{"Name":"RESULT_FENCE","Value":"{taken.fence}"}}]'
    document: dict[str, object] = (
        {"build": {"variables": [{"Name": "RESULT_FENCE", "Value": str(taken.fence)}]}}
        if ended == "well"
        else {
            "failure": {
                "cause": f'{{"Build":{{"Id":"b","BuildStatus":"FAILED","ExportedEnvironmentVariables":{variables}}}}}'
            }
        }
    )
    assert release(world.locks(), event(ONE, lease=lease.to_dict(), **document))
    assert "owner" not in world.item()


def test_release_without_a_lease_frees_whatever_the_execution_holds(world: World) -> None:
    world.locks().acquire(f"{BASE_KEY}#acme/shop", ONE)
    world.locks().acquire(BASE_KEY, TWO)
    assert release(world.locks(), event(ONE))
    assert world.item()["owner"] == {"S": TWO}
