from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from kiro_worker.errors import LockHeld, LockLost, ScopedLockHeld
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.release import release
from kiro_worker.models import Lease
from kiro_worker.state import StateDocument, StepEvent
from tests.support.lock_table import LEASE_SECONDS, ONE, STRANGER, TABLE, TWO, LockWorld


def event(owner: str, **document: object) -> StepEvent:
    return StepEvent(owner, 0, {}, "ReleaseLock", StateDocument.parse(document))


def test_quiet_cycle_costs_two_requests(world: LockWorld) -> None:
    locks = world.locks
    lease = locks.acquire(BASE_KEY, ONE, Subject("PVTI_1", "acme/shop", "feature/x"))
    assert locks.release(lease)
    assert world.requests == ["UpdateItem", "UpdateItem"]


def test_item_shows_who_holds_lock(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, Subject("PVTI_1", "acme/shop", "feature/x", "build:1"))
    assert world.item() == {
        "lockKey": {"S": BASE_KEY},
        "owner": {"S": ONE},
        "fence": {"N": str(lease.fence)},
        "acquiredAt": {"S": "2025-11-23T12:13:20.000Z"},
        "expiresAt": {"N": str(int(world.now) + LEASE_SECONDS)},
        "workItemId": {"S": "PVTI_1"},
        "repository": {"S": "acme/shop"},
        "branch": {"S": "feature/x"},
        "buildId": {"S": "build:1"},
    }


def test_running_holder_keeps_lock(world: LockWorld) -> None:
    world.locks.acquire(BASE_KEY, ONE)
    with pytest.raises(LockHeld, match="execution:kiro-worker-test:one") as caught:
        world.locks.acquire(BASE_KEY, TWO)
    assert "aws stepfunctions describe-execution" in caught.value.remedy


def test_lock_blocks_only_its_own_key(world: LockWorld) -> None:
    world.locks.acquire(f"{BASE_KEY}#acme/shop#a", ONE)
    with pytest.raises(ScopedLockHeld):
        world.locks.acquire(f"{BASE_KEY}#acme/shop#a", TWO)
    world.locks.acquire(f"{BASE_KEY}#acme/shop#b", TWO)


def test_ended_holder_loses_lock_at_once(world: LockWorld) -> None:
    first = world.locks.acquire(BASE_KEY, ONE)
    world.running.remove(ONE)
    assert world.locks.acquire(BASE_KEY, TWO).fence > first.fence


def test_running_holder_keeps_expired_lease(world: LockWorld) -> None:
    world.locks.acquire(BASE_KEY, ONE)
    world.now += LEASE_SECONDS + 86400
    with pytest.raises(LockHeld):
        world.locks.acquire(BASE_KEY, TWO)


@pytest.mark.parametrize(("after", "taken"), [(-1, False), (599, False), (601, True)])
def test_unknown_owner_loses_expired_lease(world: LockWorld, after: float, taken: bool) -> None:
    """The owner's clock is five minutes slow, and ours is five minutes fast."""
    world.locks_of_skewed_clock(-300).acquire(BASE_KEY, STRANGER)
    world.now += LEASE_SECONDS + after - 600
    if taken:
        assert world.locks_of_skewed_clock(300).acquire(BASE_KEY, TWO).owner == TWO
        return
    with pytest.raises(LockHeld) as caught:
        world.locks_of_skewed_clock(300).acquire(BASE_KEY, TWO)
    assert f"aws dynamodb delete-item --table-name {TABLE}" in caught.value.remedy


def test_acquire_may_be_repeated(world: LockWorld) -> None:
    first = world.locks.acquire(BASE_KEY, ONE)
    again = world.locks.acquire(BASE_KEY, ONE)
    assert again.fence > first.fence
    assert not world.locks.release(first)
    assert world.locks.release(again)


@pytest.mark.parametrize("skew", [-300.0, 300.0])
def test_fence_rises_despite_clock_skew(world: LockWorld, skew: float) -> None:
    fences = []
    for owner, clock in ((ONE, 0.0), (TWO, skew), (ONE, 0.0)):
        lease = world.locks_of_skewed_clock(clock).acquire(BASE_KEY, owner)
        fences.append(lease.fence)
        world.locks_of_skewed_clock(clock).release(lease)
    assert fences == sorted(set(fences))


def test_fence_rises_over_deleted_item(world: LockWorld) -> None:
    first = world.locks.acquire(BASE_KEY, ONE)
    world.dynamodb.delete_item(TableName=TABLE, Key={"lockKey": {"S": BASE_KEY}})
    world.now += 0.002
    assert world.locks.acquire(BASE_KEY, TWO).fence > first.fence


def test_release_frees_only_its_own_fence(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE)
    assert world.locks.release(lease)
    assert not world.locks.release(lease)
    world.locks.acquire(BASE_KEY, TWO)
    assert not world.locks.release(lease)
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
        {"owner": {"S": STRANGER}, "expiresAt": {"N": "1E+30"}, "fence": {"N": "-3.5"}},
        {"lockId": {"S": "f3"}, "executionId": {"S": "e1"}, "acquiredAt": {"N": "1763890000000"}},
        {},
    ],
    ids=[
        "original system, milliseconds",
        "expiry is a string",
        "fence is a string",
        "empty owner",
        "owner is a number",
        "owner is a map",
        "expiry is not a time",
        "original system, no owner",
        "key only",
    ],
)
def test_foreign_items_do_not_block(world: LockWorld, item: dict[str, dict[str, str]]) -> None:
    world.dynamodb.put_item(TableName=TABLE, Item={"lockKey": {"S": BASE_KEY}, **item})
    assert world.locks.acquire(BASE_KEY, ONE).owner == ONE


@pytest.mark.parametrize("edit", ["expiresAt", "acquiredAt", "fence"])
def test_removed_attribute_frees_no_lock(world: LockWorld, edit: str) -> None:
    world.locks.acquire(BASE_KEY, ONE)
    world.dynamodb.update_item(TableName=TABLE, Key={"lockKey": {"S": BASE_KEY}}, UpdateExpression=f"REMOVE {edit}")
    with pytest.raises(LockHeld):
        world.locks.acquire(BASE_KEY, TWO)
    world.running.remove(ONE)
    assert world.locks.acquire(BASE_KEY, TWO).owner == TWO


def test_one_of_many_contenders_wins(world: LockWorld) -> None:
    for attempt in range(5):
        barrier = threading.Barrier(8)
        winners: list[Lease] = []

        def contend(owner: str, barrier: threading.Barrier = barrier, winners: list[Lease] = winners) -> None:
            barrier.wait()
            try:
                winners.append(world.locks.acquire(BASE_KEY, owner))
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
        assert world.locks.release(winners[0])


def test_ensure_keeps_lease(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE)
    assert world.locks.ensure(lease) == lease


def test_ensure_acquires_free_lock(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE)
    world.dynamodb.delete_item(TableName=TABLE, Key={"lockKey": {"S": BASE_KEY}})
    assert world.locks.ensure(lease).fence > lease.fence


@pytest.mark.parametrize("other", [TWO, ONE], ids=["another execution", "a later attempt of the same execution"])
def test_ensure_rejects_other_owners_lock(world: LockWorld, other: str) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE)
    world.locks.release(lease)
    world.now += 1
    later = world.locks.acquire(BASE_KEY, other)
    with pytest.raises(LockLost):
        world.locks.ensure(lease)
    assert world.item()["fence"] == {"N": str(later.fence)}


def test_ensure_extends_lease(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, Subject("PVTI_1"))
    world.now += LEASE_SECONDS - 60
    kept = world.locks.ensure(lease, Subject("PVTI_1", build_id="kiro-worker-test:1"))
    assert (kept.fence, kept.expires_at) == (lease.fence, int(world.now) + LEASE_SECONDS)
    assert world.item()["buildId"] == {"S": "kiro-worker-test:1"}
    assert world.item()["acquiredAt"] == {"S": "2025-11-23T12:13:20.000Z"}
    world.requests.clear()
    assert world.locks.ensure(kept, Subject("PVTI_1", build_id="kiro-worker-test:1")) == kept
    assert world.requests == ["GetItem"]


def test_second_build_waits_for_first(world: LockWorld) -> None:
    """The execution was aborted and redriven, and the abort did not stop its build."""
    first, second = Subject(build_id="kiro-worker-test:1"), Subject(build_id="kiro-worker-test:2")
    lease = world.locks.acquire(BASE_KEY, ONE)
    world.locks.ensure(lease, first)
    world.running.add(first.build_id)
    with pytest.raises(LockLost, match="kiro-worker-test:1 of the same execution is still running"):
        world.locks.ensure(lease, second)
    world.running.remove(first.build_id)
    assert world.locks.ensure(lease, second).fence == lease.fence


def test_abandoned_build_cannot_acquire_again(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE)
    world.locks.release(lease)
    world.running.remove(ONE)
    with pytest.raises(LockLost, match="has ended"):
        world.locks.ensure(lease)
    assert "owner" not in world.item()


def test_lock_of_built_branch_is_deleted_by_its_holder_only(world: LockWorld) -> None:
    key = f"{BASE_KEY}#acme/shop#feature/x"
    lease = world.locks.acquire(key, ONE)
    assert not world.locks.release(replace(lease, fence=lease.fence - 1), is_done=True)
    assert world.locks.read(key).owner == ONE
    assert world.locks.release(lease, is_done=True)
    assert world.dynamodb.scan(TableName=TABLE)["Items"] == []
    assert not world.locks.release(lease, is_done=True)
    assert world.locks.acquire(key, TWO).owner == TWO


def test_release_frees_locks_of_every_scope(world: LockWorld) -> None:
    world.locks.acquire(BASE_KEY, ONE)
    world.locks.acquire(f"{BASE_KEY}#acme/shop", ONE)
    assert release(world.locks, event(ONE))
    assert "owner" not in world.item()
    assert "owner" not in world.item(f"{BASE_KEY}#acme/shop")


def clean_up(world: LockWorld, after: float, *, running: bool) -> dict[str, str] | None:
    world.running = {ONE} if running else set()
    return release(world.locks, event(ONE, endedAt=int((world.now + after) * 1000)))


def test_clean_up_frees_and_describes_lock(world: LockWorld) -> None:
    world.locks.acquire(BASE_KEY, ONE, Subject("PVTI_1", "acme/shop", "feature/x"))
    assert clean_up(world, 60, running=False) == {
        "lockKey": BASE_KEY,
        "workItemId": "PVTI_1",
        "repository": "acme/shop",
        "branch": "feature/x",
    }
    assert clean_up(world, 60, running=False) is None


def test_clean_up_spares_live_and_later_locks(world: LockWorld) -> None:
    world.locks.acquire(BASE_KEY, ONE)
    assert clean_up(world, 60, running=True) is None
    assert clean_up(world, -60, running=False) is None
    assert world.item()["owner"] == {"S": ONE}


@pytest.mark.parametrize("build", ["succeeded", "failed"])
def test_release_uses_fence_of_build(world: LockWorld, build: str) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE)
    world.dynamodb.delete_item(TableName=TABLE, Key={"lockKey": {"S": BASE_KEY}})
    taken = world.locks.ensure(lease)
    variables = f'[{{"Name":"RESULT_FENCE","Value":"{taken.fence}"}}]'
    document: dict[str, object] = (
        {"build": {"variables": [{"Name": "RESULT_FENCE", "Value": str(taken.fence)}]}}
        if build == "succeeded"
        else {
            "failure": {
                "cause": f'{{"Build":{{"Id":"b","BuildStatus":"FAILED","ExportedEnvironmentVariables":{variables}}}}}'
            }
        }
    )
    assert release(world.locks, event(ONE, lease=lease.to_dict(), **document))
    assert "owner" not in world.item()


def test_release_without_lease_frees_all(world: LockWorld) -> None:
    world.locks.acquire(f"{BASE_KEY}#acme/shop", ONE)
    world.locks.acquire(BASE_KEY, TWO)
    assert release(world.locks, event(ONE))
    assert world.item()["owner"] == {"S": TWO}
