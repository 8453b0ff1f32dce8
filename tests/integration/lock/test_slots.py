from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from kiro_worker.config.model import Configuration, LockScope
from kiro_worker.errors import LockHeld, ScopedLockHeld
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import BASE_KEY, is_slot, slot_keys
from kiro_worker.lock.release import release, release_slot
from kiro_worker.lock.slots import acquire_with_slot, keep_slot, release_slot_of_build
from kiro_worker.models import Lease
from kiro_worker.state import StateDocument, StepEvent
from tests.integration.lock.conftest import recording_world
from tests.support.lock_table import BUILD, NOW, ONE, THREE, TWO, LockWorld

BRANCH = f"{BASE_KEY}#acme/shop#"


def limited_to(builds: int | None, scope: LockScope = "branch") -> Configuration:
    document = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Ready"}
    return Configuration.model_validate(document | {"lockScope": scope, "maxConcurrentBuilds": builds})


TWO_SLOTS = limited_to(2)


def acquire(world: LockWorld, owner: str, branch: str = "", builds: int | None = 2) -> Lease:
    return acquire_with_slot(world.locks, limited_to(builds), BRANCH + (branch or owner[-3:]), owner)


def release_all(world: LockWorld, owner: str, **document: Any) -> Any:
    """What ReleaseLock does: free the slot, then the lock."""
    event = StepEvent(owner, 0, {}, "ReleaseLock", StateDocument.parse(document))
    release_slot(world.locks, event)
    return release(world.locks, event)


def slots(world: LockWorld) -> dict[str, str]:
    return {key: owner for key, owner in world.owners_by_key().items() if is_slot(key)}


@pytest.mark.parametrize(("builds", "scope"), [(None, "branch"), (None, "repository"), (3, "environment")])
def test_slots_need_a_limit(builds: int | None, scope: LockScope) -> None:
    assert slot_keys(limited_to(builds, scope)) == ()


def test_unlimited_cycle_costs_two_requests(world: LockWorld) -> None:
    lease = acquire(world, ONE, builds=None)
    assert lease.slot == ""
    assert release_all(world, ONE, lease=lease.to_dict())
    assert world.requests == ["UpdateItem", "UpdateItem"]


def test_run_without_slot_holds_nothing(world: LockWorld) -> None:
    assert {acquire(world, ONE).slot, acquire(world, TWO).slot} == set(slot_keys(TWO_SLOTS))
    with pytest.raises(LockHeld, match="all 2 slots for concurrent builds are taken") as caught:
        acquire(world, THREE)
    assert "maxConcurrentBuilds" in caught.value.remedy
    assert THREE not in world.owners_by_key().values()


def test_locked_branch_takes_no_slot(world: LockWorld) -> None:
    acquire(world, ONE, "a")
    with pytest.raises(ScopedLockHeld):
        acquire(world, TWO, "a")
    assert list(slots(world).values()) == [ONE]


def test_repeated_step_keeps_one_slot(world: LockWorld) -> None:
    acquire(world, ONE)
    second = acquire(world, TWO)
    release_all(world, ONE)
    assert acquire(world, TWO).slot == second.slot
    assert slots(world) == {second.slot: TWO}


def test_ended_holder_loses_slot(world: LockWorld) -> None:
    acquire(world, ONE)
    taken = acquire(world, TWO).slot
    world.running.remove(TWO)
    assert acquire(world, THREE).slot == taken


@pytest.mark.parametrize("ended", ["with its lease", "without a lease", "aborted"])
def test_release_frees_lock_and_slot(world: LockWorld, ended: str) -> None:
    lease = acquire(world, ONE, "a")
    acquire(world, TWO, "b")
    document: dict[str, Any] = {}
    if ended == "with its lease":
        document = {"lease": lease.to_dict()}
    elif ended == "aborted":
        document = {"endedAt": int(NOW + 60) * 1000}
        world.running.remove(ONE)
    assert release_all(world, ONE, **document)["lockKey"] == BRANCH + "a"
    assert set(world.owners_by_key().values()) == {TWO}
    assert release_all(world, ONE, **document) is None


def test_clean_up_spares_running_owners_slot(world: LockWorld) -> None:
    acquire(world, ONE)
    assert release_all(world, ONE, endedAt=int(NOW + 60) * 1000) is None
    assert list(slots(world).values()) == [ONE]


def test_keeping_slot_costs_one_read(world: LockWorld) -> None:
    lease = acquire(world, ONE)
    world.requests.clear()
    assert keep_slot(world.locks, TWO_SLOTS, lease) == lease
    assert world.requests == ["GetItem"]
    assert keep_slot(world.locks, TWO_SLOTS, replace(lease, slot="")).slot == "", "a build without a slot needs none"


def test_lost_slot_is_replaced(world: LockWorld) -> None:
    lease = acquire(world, ONE)
    release_all(world, ONE)
    assert keep_slot(world.locks, TWO_SLOTS, lease) == lease
    release_all(world, ONE)
    assert acquire(world, TWO).slot == lease.slot
    other = keep_slot(world.locks, TWO_SLOTS, lease)
    assert slots(world) == {lease.slot: TWO, other.slot: ONE}
    release_all(world, ONE, lease=lease.to_dict())
    assert slots(world) == {lease.slot: TWO}, "the slot is found by its owner: the lease names the lost one"


def test_build_without_slot_gets_lock_held(world: LockWorld) -> None:
    lease = acquire(world, ONE)
    release_all(world, ONE)
    acquire(world, TWO)
    acquire(world, THREE)
    with pytest.raises(LockHeld, match="all 2 slots"):
        keep_slot(world.locks, TWO_SLOTS, lease)


def test_lowered_limit_spares_running_build(world: LockWorld) -> None:
    last = slot_keys(TWO_SLOTS)[1]
    lease = replace(world.locks.acquire(f"{BRANCH}one", ONE), slot=last)
    world.locks.acquire(last, ONE)
    assert keep_slot(world.locks, limited_to(1), lease) == lease


def test_manual_build_frees_its_own_slot(world: LockWorld) -> None:
    lease = acquire(world, ONE)
    release_slot_of_build(world.locks, lease.slot, TWO)
    release_slot_of_build(world.locks, "", ONE)
    assert slots(world) == {lease.slot: ONE}
    release_slot_of_build(world.locks, lease.slot, ONE)
    assert slots(world) == {}


def test_limit_holds_for_many_contenders(aws_of_each: dict[str, Any]) -> None:
    world = recording_world(aws_of_each)
    owners = [f"{ONE}-{number}" for number in range(12)]
    world.running |= set(owners)
    barrier = threading.Barrier(len(owners))
    leases: list[Lease] = []

    def contend(owner: str) -> None:
        barrier.wait()
        try:
            leases.append(acquire(world, owner, owner[-5:], builds=3))
        except LockHeld:
            return

    threads = [threading.Thread(target=contend, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len({lease.slot for lease in leases}) == len(leases) == 3
    assert sorted(world.owners_by_key().values()) == sorted([lease.owner for lease in leases] * 2)


@pytest.mark.parametrize("taken", [0, 99])
def test_free_slot_of_hundred_costs_three_requests(aws_of_each: dict[str, Any], taken: int) -> None:
    world = recording_world(aws_of_each)
    owners = [f"{ONE}-{number}" for number in range(taken)]
    world.running |= set(owners)
    for key, owner in zip(slot_keys(limited_to(100))[1:], owners, strict=False):
        world.locks.acquire(key, owner)
    world.requests.clear()
    lease = acquire(world, TWO, builds=100)
    assert world.requests == ["UpdateItem", "BatchGetItem", "UpdateItem"]
    assert slots(world) == {**dict(zip(slot_keys(limited_to(100))[1:], owners, strict=False)), lease.slot: TWO}


@pytest.mark.parametrize("ended", [False, True])
def test_full_slots_on_both_servers(aws_of_each: dict[str, Any], ended: bool) -> None:
    world = recording_world(aws_of_each)
    for key, owner in zip(slot_keys(TWO_SLOTS), (ONE, TWO), strict=True):
        world.locks.acquire(key, owner)
    if ended:
        world.running.remove(TWO)
        assert acquire(world, THREE).slot == slot_keys(TWO_SLOTS)[1]
        return
    before = world.owners_by_key()
    with pytest.raises(LockHeld, match="all 2 slots"):
        acquire(world, THREE)
    assert world.owners_by_key() == before


def test_reacquired_lock_gets_its_slot_again(world: LockWorld) -> None:
    """A redrive starts at RunBuild after an abort and its clean-up."""
    lease = acquire(world, ONE)
    release_all(world, ONE)
    assert world.owners_by_key() == {}
    ensured = world.locks.ensure(lease)
    assert ensured.slot == lease.slot
    assert keep_slot(world.locks, TWO_SLOTS, ensured).slot == lease.slot
    assert slots(world) == {lease.slot: ONE}


def test_slot_is_kept_while_its_build_runs(world: LockWorld) -> None:
    lease = acquire(world, ONE)
    world.builds_stop_at_once = False
    subject = Subject("PVTI_1", "acme/shop", "one", BUILD)
    lease = keep_slot(world.locks, TWO_SLOTS, world.locks.ensure(lease, subject), subject)
    timed_out = {"lease": lease.to_dict(), "failure": {"state": "RunBuild"}}
    assert release_all(world, ONE, **timed_out) is None
    assert set(world.owners_by_key().values()) == {ONE}
    assert len(world.owners_by_key()) == 2
    world.running.remove(BUILD)
    assert release_all(world, ONE, **timed_out)
    assert world.owners_by_key() == {}


def test_abandoned_slot_names_no_card(world: LockWorld) -> None:
    subject = Subject("PVTI_1", "acme/shop", "one")
    acquire_with_slot(world.locks, TWO_SLOTS, f"{BRANCH}one", ONE, subject)
    world.running.remove(ONE)
    cards = {holder.lock_key: holder.subject.work_item_id for holder in world.locks.abandoned(world.locks.holders())}
    assert sorted(cards.values()) == ["", "PVTI_1"]
    assert cards[f"{BRANCH}one"] == "PVTI_1"
