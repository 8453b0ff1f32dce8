"""How many requests and questions a slot costs, and which run gets which slot when many ask at once."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from kiro_worker.config.model import Configuration
from kiro_worker.errors import LockHeld
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import BASE_KEY, is_slot, slot_keys
from kiro_worker.lock.slots import acquire_with_slot
from kiro_worker.lock.store import LockStore
from kiro_worker.lock.table import LockTable
from kiro_worker.models import Lease
from tests.support.interleaving import Operation, SteppedDynamoDB
from tests.support.lock_table import BUILD, EXECUTION, LEASE_SECONDS, ONE, STRANGER, TABLE, TWO, LockWorld

if TYPE_CHECKING:
    from collections.abc import Callable

CARD_LOCK = f"{BASE_KEY}#acme/shop#{{}}"


def limited_to(builds: int) -> Configuration:
    document = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Ready"}
    return Configuration.model_validate(document | {"lockScope": "branch", "maxConcurrentBuilds": builds})


def fill(world: LockWorld, keys: tuple[str, ...]) -> list[str]:
    """Let one running execution hold each of the slots ``keys``; return the executions."""
    owners = [EXECUTION.format(f"holder-{number}") for number in range(len(keys))]
    world.running |= set(owners)
    for key, owner in zip(keys, owners, strict=True):
        world.locks.acquire(key, owner)
    world.now += 1
    forget(world)
    return owners


def forget(world: LockWorld) -> None:
    world.memory.requests.clear()
    world.asked.clear()


def acquire(world: LockWorld, builds: int = 100, owner: str = ONE) -> Lease:
    return acquire_with_slot(world.locks, limited_to(builds), CARD_LOCK.format(owner[-3:]), owner, Subject("PVTI_1"))


@pytest.mark.parametrize("taken", [0, 99])
def test_free_slot_of_hundred_costs_three_requests(world: LockWorld, taken: int) -> None:
    keys = slot_keys(limited_to(100))
    free = keys[31]
    fill(world, tuple(key for key in keys if key != free)[:taken])
    lease = acquire(world)
    assert world.memory.requests == ["UpdateItem", "BatchGetItem", "UpdateItem"]
    assert world.asked == []
    if taken:
        assert lease.slot == free


def test_hundred_active_holders_are_asked_about_once_and_not_written_to(world: LockWorld) -> None:
    keys = slot_keys(limited_to(100))
    holders = fill(world, keys)
    before = [world.item(key) for key in keys]
    forget(world)
    with pytest.raises(LockHeld, match="all 100 slots"):
        acquire(world)
    assert world.memory.requests == ["UpdateItem", "BatchGetItem", "UpdateItem"], "lock, slots, and the lock's release"
    assert Counter(world.asked) == Counter(holders)
    assert [world.item(key) for key in keys] == before


def test_ended_holder_of_hundred_slots_costs_three_requests(world: LockWorld) -> None:
    keys = slot_keys(limited_to(100))
    holders = fill(world, keys)
    world.running.discard(holders[42])
    assert acquire(world).slot == keys[42]
    assert world.memory.requests == ["UpdateItem", "BatchGetItem", "UpdateItem"]


def test_owner_of_several_slots_is_asked_about_once(world: LockWorld) -> None:
    for key in slot_keys(limited_to(2)):
        world.locks.acquire(key, TWO)
    forget(world)
    with pytest.raises(LockHeld):
        acquire(world, 2)
    assert world.asked == [TWO]


def test_repeated_step_with_all_slots_taken_keeps_its_own(world: LockWorld) -> None:
    lease = acquire(world, 2)
    [other] = set(slot_keys(limited_to(2))) - {lease.slot}
    world.locks.acquire(other, TWO)
    world.now += 1
    forget(world)
    again = acquire(world, 2)
    assert (again.slot, again.fence > lease.fence) == (lease.slot, True)
    assert world.asked == []


def test_unstoppable_build_keeps_its_slot(world: LockWorld) -> None:
    [slot] = slot_keys(limited_to(1))
    world.locks.acquire(slot, TWO, Subject(build_id=BUILD))
    world.running.discard(TWO)
    world.builds_stop_at_once = False
    with pytest.raises(LockHeld, match="all 1 slots"):
        acquire(world, 1)
    world.builds_stop_at_once = True
    assert acquire(world, 1).slot == slot
    assert world.stopped_builds == [BUILD] * 2


@pytest.mark.parametrize("ended", [False, True])
def test_slot_with_pending_report_is_taken_once_its_run_has_ended(world: LockWorld, ended: bool) -> None:
    [slot] = slot_keys(limited_to(1))
    world.locks.release(world.locks.acquire(slot, TWO), report_pending=True)
    if ended:
        world.running.discard(TWO)
        assert acquire(world, 1).slot == slot
    else:
        with pytest.raises(LockHeld):
            acquire(world, 1)


def test_stranger_keeps_slot_until_its_lease_has_expired(world: LockWorld) -> None:
    [slot] = slot_keys(limited_to(1))
    world.locks.acquire(slot, STRANGER)
    with pytest.raises(LockHeld):
        acquire(world, 1)
    world.now += LEASE_SECONDS + 601
    assert acquire(world, 1).slot == slot


def test_slot_taken_between_read_and_write_is_passed_over(world: LockWorld) -> None:
    keys = slot_keys(limited_to(3))
    first = acquire(world, 3).slot
    world.locks.release_owned(ONE)
    rival = world.locks
    world.memory.before_updates = [lambda: None, lambda: rival.acquire(first, TWO)]
    lease = acquire(world, 3)
    assert lease.slot in set(keys) - {first}
    assert world.owners_by_key()[first] == TWO


def test_slot_freed_between_read_and_write_is_taken(world: LockWorld) -> None:
    [slot] = slot_keys(limited_to(1))
    ended = world.locks.acquire(slot, TWO)
    world.running.discard(TWO)
    rival = world.locks
    world.memory.before_updates = [lambda: None, lambda: rival.release(ended)]
    assert acquire(world, 1).slot == slot


def test_redriven_holder_keeps_slot_that_it_takes_again(world: LockWorld) -> None:
    """It had ended when we asked, and took its slot again before our write."""
    [slot] = slot_keys(limited_to(1))
    world.locks.acquire(slot, TWO)
    world.running.discard(TWO)
    world.now += 1
    rival = world.locks

    def redrive() -> None:
        world.running.add(TWO)
        rival.acquire(slot, TWO)

    world.memory.before_updates = [lambda: None, redrive]
    with pytest.raises(LockHeld):
        acquire(world, 1)
    assert world.owners_by_key() == {slot: TWO}


def test_lost_answer_of_slot_takes_no_second_slot(world: LockWorld) -> None:
    memory = world.memory
    memory.before_updates = [lambda: None, lambda: setattr(memory, "resend_next_update", True)]
    lease = acquire(world, 5)
    assert {key: owner for key, owner in world.owners_by_key().items() if is_slot(key)} == {lease.slot: ONE}


def test_keys_that_were_left_out_are_read_again(world: LockWorld) -> None:
    keys = slot_keys(limited_to(100))
    holders = fill(world, keys)
    world.memory.left_out = [60]
    store = LockStore(world.dynamodb, TABLE)
    assert [holder.owner for holder in store.read_many(keys)] == holders
    assert world.memory.requests == ["BatchGetItem"] * 2


def test_keys_that_are_always_left_out_are_read_one_by_one(world: LockWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = slot_keys(limited_to(5))
    holders = fill(world, keys)
    world.memory.left_out = [5, 5, 2]
    store = LockStore(world.dynamodb, TABLE)
    assert [holder.owner for holder in store.read_many(keys)] == holders
    assert world.memory.requests == [*["BatchGetItem"] * 3, "GetItem", "GetItem"]

    def refuse(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "GetItem")

    world.memory.left_out = [5, 5, 2]
    monkeypatch.setattr(world.memory, "get_item", refuse)
    with pytest.raises(ClientError, match="ProvisionedThroughputExceeded"):
        store.read_many(keys)


def test_slots_are_read_consistently(world: LockWorld) -> None:
    acquire(world, 100)
    [batch] = world.memory.batches
    assert (len(batch["keys"]), batch["consistent"]) == (100, True)


def test_runs_start_at_different_slots(world: LockWorld) -> None:
    firsts = Counter[str]()
    for number in range(120):
        owner = EXECUTION.format(f"run-{number}")
        firsts[acquire(world, 20, owner).slot] += 1
        world.locks.release_owned(owner)
        world.locks.release_owned(owner)
    assert len(firsts) == 20
    assert max(firsts.values()) < 20


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("order", ["in step", "at random"])
def test_64_contenders_fill_20_slots_with_few_writes(world: LockWorld, order: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # the same order of requests in every run
    owners = [EXECUTION.format(f"{seed}-{number:03}") for number in range(64)]
    world.running |= set(owners)
    operations = {owner: contender(world, owner) for owner in owners}
    while ongoing := [operation for operation in operations.values() if not operation.done]:
        for operation in ongoing if order == "in step" else [chance.choice(ongoing)]:
            operation.step()
    leases = [operation.result for operation in operations.values() if isinstance(operation.result, Lease)]
    errors = [operation.error for operation in operations.values() if operation.error]
    assert len({lease.slot for lease in leases}) == len(leases) == 20
    assert len(errors) == 44
    assert all(isinstance(error, LockHeld) for error in errors), errors
    assert Counter(world.owners_by_key().values()) == {lease.owner: 2 for lease in leases}
    writes = world.memory.requests.count("UpdateItem")
    print(f"{order}, seed {seed}: {writes / 64:.2f} writes for each contender")
    assert writes <= 4 * 64


def contender(world: LockWorld, owner: str) -> Operation:
    """AcquireLock of ``owner``, whose card has a lock of its own."""

    def run(request: Callable[[Callable[[], Any]], Any]) -> Lease:
        client: Any = SteppedDynamoDB(world.memory, request)
        locks = LockTable(client, TABLE, LEASE_SECONDS, world.is_running, lambda: world.now)
        return acquire_with_slot(locks, limited_to(20), CARD_LOCK.format(owner[-5:]), owner)

    return Operation(run)
