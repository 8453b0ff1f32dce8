from __future__ import annotations

from dataclasses import replace

import pytest

from kiro_worker.config.model import Configuration
from kiro_worker.errors import LockHeld
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.slots import acquire_with_slot, keep_slot, release_slot_of_build
from kiro_worker.models import Lease
from tests.support.lock_table import BUILD, ONE, THREE, TWO, LockWorld

FIRST, SECOND = f"{BASE_KEY}#slot-1", f"{BASE_KEY}#slot-2"
TWO_SLOTS = Configuration.model_validate(
    {
        "organization": "acme",
        "repository": "shop",
        "projectNumber": 1,
        "targetStatusColumn": "Ready",
        "lockScope": "branch",
        "maxConcurrentBuilds": 2,
    }
)


def acquire(world: LockWorld, owner: str) -> Lease:
    return acquire_with_slot(world.locks, TWO_SLOTS, f"{BASE_KEY}#acme/shop#{owner[-3:]}", owner, Subject("PVTI_1"))


def test_free_slot_comes_before_takeover(world: LockWorld) -> None:
    world.locks.acquire(FIRST, ONE)
    world.running.discard(ONE)
    assert acquire(world, TWO).slot == SECOND
    assert acquire(world, THREE).slot == FIRST


def test_own_slot_comes_before_free_one(world: LockWorld) -> None:
    world.locks.acquire(SECOND, ONE)
    assert acquire(world, ONE).slot == SECOND
    assert FIRST not in world.owners_by_key()


def test_slot_names_no_card(world: LockWorld) -> None:
    lease = acquire(world, ONE)
    assert world.item(lease.lock_key)["workItemId"] == {"S": "PVTI_1"}
    assert world.item(lease.slot)["workItemId"] == {"S": ""}


def test_lock_is_released_without_slot(world: LockWorld) -> None:
    world.locks.acquire(FIRST, ONE)
    world.locks.acquire(SECOND, TWO)
    with pytest.raises(LockHeld, match=f"all 2 slots for concurrent builds are taken, by {ONE}, {TWO}"):
        acquire(world, THREE)
    assert THREE not in world.owners_by_key().values()


def test_kept_slot_records_build(world: LockWorld) -> None:
    lease = acquire(world, ONE)
    assert keep_slot(world.locks, TWO_SLOTS, lease, Subject("PVTI_1", build_id=BUILD)) == lease
    assert world.item(lease.slot)["buildId"] == {"S": BUILD}
    assert world.item(lease.slot)["workItemId"] == {"S": ""}


def test_lost_slot_is_replaced_with_free_one(world: LockWorld) -> None:
    lease = replace(world.locks.acquire(f"{BASE_KEY}#acme/shop", ONE), slot=SECOND)
    world.locks.acquire(SECOND, TWO)
    assert keep_slot(world.locks, TWO_SLOTS, lease).slot == FIRST


@pytest.mark.parametrize("lost", [FIRST, SECOND])
def test_lost_slot_is_preferred_while_free(world: LockWorld, lost: str) -> None:
    lease = replace(world.locks.acquire(f"{BASE_KEY}#acme/shop", ONE), slot=lost)
    assert keep_slot(world.locks, TWO_SLOTS, lease).slot == lost


@pytest.mark.parametrize(("slot", "owner", "freed"), [(FIRST, ONE, True), (FIRST, TWO, False), ("", ONE, False)])
def test_build_frees_only_its_own_slot(world: LockWorld, slot: str, owner: str, freed: bool) -> None:
    world.locks.acquire(FIRST, ONE)
    release_slot_of_build(world.locks, slot, owner)
    assert (FIRST not in world.owners_by_key()) is freed
