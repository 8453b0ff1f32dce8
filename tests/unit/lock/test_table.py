"""The lock's decisions, one per test; tests/integration/lock proves the same lock against real servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from kiro_worker.errors import LockHeld, LockLost, ScopedLockHeld
from kiro_worker.lock.item import Holder, Subject
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.models import Lease
from tests.support.lock_table import BUILD, LEASE_SECONDS, ONE, STRANGER, THREE, TWO, LockWorld


def free(world: LockWorld) -> None:
    """No item at all."""


def held_by(owner: str, build: str = "") -> Callable[[LockWorld], None]:
    def arrange(world: LockWorld) -> None:
        world.locks.acquire(BASE_KEY, owner, Subject("PVTI_1", build_id=build))
        world.now += 1

    return arrange


def held_by_ended(owner: str, build: str = "") -> Callable[[LockWorld], None]:
    def arrange(world: LockWorld) -> None:
        world.locks.acquire(BASE_KEY, owner, Subject("PVTI_1", build_id=build))
        world.running.discard(owner)

    return arrange


def with_stubborn_build(world: LockWorld) -> None:
    held_by_ended(TWO, BUILD)(world)
    world.builds_stop_at_once = False


def held_by_stranger_since(seconds: float) -> Callable[[LockWorld], None]:
    def arrange(world: LockWorld) -> None:
        world.locks.acquire(BASE_KEY, STRANGER)
        world.now += seconds

    return arrange


def report_pending_of(owner: str, *, running: bool = True) -> Callable[[LockWorld], None]:
    def arrange(world: LockWorld) -> None:
        world.locks.release(world.locks.acquire(BASE_KEY, owner), report_pending=True)
        world.now += 1
        if not running:
            world.running.discard(owner)

    return arrange


def with_fence_ahead(world: LockWorld) -> None:
    lease = world.locks_of_skewed_clock(300).acquire(BASE_KEY, TWO)
    world.locks.release(lease)


@pytest.mark.parametrize(
    ("arrange", "acquired"),
    [
        (free, True),
        (held_by(ONE), True),
        (held_by(TWO), False),
        (held_by_ended(TWO), True),
        (held_by_ended(TWO, BUILD), True),
        (with_stubborn_build, False),
        (held_by_stranger_since(LEASE_SECONDS + 599), False),
        (held_by_stranger_since(LEASE_SECONDS + 600), True),
        (report_pending_of(ONE), True),
        (report_pending_of(TWO), False),
        (report_pending_of(TWO, running=False), True),
        (with_fence_ahead, True),
    ],
    ids=[
        "free",
        "held by the same owner",
        "held by a running execution",
        "held by an ended execution",
        "held by an ended execution whose build stops",
        "held by an ended execution whose build runs on",
        "held by an unknown owner within its lease",
        "held by an unknown owner after its lease",
        "own report pending",
        "report pending of a running execution",
        "report pending of an ended execution",
        "fence ahead of the clock",
    ],
)
def test_acquire_decides_by_holder(world: LockWorld, arrange: Callable[[LockWorld], None], acquired: bool) -> None:
    arrange(world)
    before = world.locks.read(BASE_KEY)
    if not acquired:
        with pytest.raises(LockHeld):
            world.locks.acquire(BASE_KEY, ONE)
        assert world.locks.read(BASE_KEY) == before
        return
    lease = world.locks.acquire(BASE_KEY, ONE)
    after = world.locks.read(BASE_KEY)
    assert (after.owner, after.fence, after.report_pending) == (ONE, lease.fence, "")
    assert lease.fence > before.fence


def test_takeover_requires_unchanged_item(world: LockWorld) -> None:
    held_by_ended(TWO)(world)

    def nothing() -> None:
        """The first attempt, which finds the lock held."""

    def overtake() -> None:
        """Another contender takes the lock over between our read and our write."""
        world.locks.acquire(BASE_KEY, THREE)

    world.memory.before_updates = [nothing, overtake]
    with pytest.raises(LockHeld, match="three"):
        world.locks.acquire(BASE_KEY, ONE)
    assert world.owners_by_key() == {BASE_KEY: THREE}


@pytest.mark.parametrize(
    ("owner", "remedy"),
    [
        (TWO, "aws stepfunctions describe-execution --execution-arn "),
        ("arn:aws:codebuild:us-east-1:1:build/kiro-worker-test:9", "aws codebuild batch-get-builds --ids "),
        (STRANGER, "aws dynamodb delete-item --table-name kiro-worker-test-locks --key "),
    ],
)
def test_held_error_has_remedy(world: LockWorld, owner: str, remedy: str) -> None:
    world.running.add(owner)
    world.locks.acquire(f"{BASE_KEY}#acme/shop", owner)
    with pytest.raises(ScopedLockHeld, match=r"since 2025-11-23T12:13:20\.000Z") as caught:
        world.locks.acquire(f"{BASE_KEY}#acme/shop", ONE)
    assert owner in caught.value.reason
    assert caught.value.remedy.startswith(remedy)


def test_ensure_keeps_fresh_lease(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, Subject(build_id=BUILD))
    item = world.item()
    world.now += LEASE_SECONDS / 2 - 1
    assert world.locks.ensure(replace(lease, slot="a slot"), Subject(build_id=BUILD)).slot == "a slot"
    assert world.item() == item


def test_ensure_renews_second_half_of_lease(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, Subject(build_id=BUILD))
    world.now += LEASE_SECONDS / 2
    renewed = world.locks.ensure(lease, Subject(build_id=BUILD))
    assert (renewed.fence, renewed.expires_at) == (lease.fence, int(world.now) + LEASE_SECONDS)
    assert world.item()["expiresAt"] == {"N": str(renewed.expires_at)}


def test_ensure_accepts_its_own_later_fence(world: LockWorld) -> None:
    """The answer to the build's own acquire request was lost, so it still knows the earlier fence only."""
    lease = world.locks.acquire(BASE_KEY, ONE)
    world.memory.items.clear()
    world.now += 1
    acquired = world.locks.ensure(lease, Subject(build_id=BUILD))
    assert acquired.fence > lease.fence
    assert world.locks.ensure(lease, Subject(build_id=BUILD)) == acquired


def lost_to_another_owner(world: LockWorld, lease: Lease) -> None:
    world.locks.release(lease)
    world.locks.acquire(BASE_KEY, TWO)


def lost_to_a_later_attempt(world: LockWorld, lease: Lease) -> None:
    world.now += 1
    world.locks.acquire(BASE_KEY, ONE)


def lost_because_the_execution_ended(world: LockWorld, lease: Lease) -> None:
    world.running.discard(ONE)


def lost_to_another_build(world: LockWorld, lease: Lease) -> None:
    world.running.add("kiro-worker-test:other")
    world.locks.ensure(lease, Subject(build_id="kiro-worker-test:other"))


@pytest.mark.parametrize(
    ("lose", "message"),
    [
        (lost_to_another_owner, f"held by {TWO}"),
        (lost_to_a_later_attempt, f"held by {ONE}"),
        (lost_because_the_execution_ended, f"{ONE} has ended"),
        (lost_to_another_build, "the build kiro-worker-test:other of the same execution is still running"),
    ],
)
def test_ensure_raises_when_lock_is_lost(
    world: LockWorld, lose: Callable[[LockWorld, Lease], None], message: str
) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE)
    lose(world, lease)
    item = world.item()
    with pytest.raises(LockLost, match=message):
        world.locks.ensure(lease, Subject(build_id=BUILD))
    assert world.item() == item


def test_release_requires_owner_and_fence(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE)
    assert not world.locks.release(replace(lease, fence=lease.fence - 1))
    assert not world.locks.release(replace(lease, owner=TWO))
    assert world.locks.release(lease)
    assert not world.locks.release(lease)


@pytest.mark.parametrize(("report_pending", "freed"), [(False, True), (True, False)])
def test_release_owned_survives_lost_answer(world: LockWorld, report_pending: bool, freed: bool) -> None:
    """The repeated request finds the lock free under the same fence. A clean-up cannot know that it was its own write:
    another one may have freed the lock, and only one of them may report to the card.
    """
    world.locks.acquire(BASE_KEY, ONE, Subject("PVTI_1"))
    world.memory.resend_next_update = True
    holder = world.locks.release_owned(ONE, report_pending=report_pending)
    assert (holder is not None) is freed
    assert "owner" not in world.item()


def test_release_owned_spares_new_lock(world: LockWorld) -> None:
    """A redriven execution acquires and releases the lock between the clean-up's read and its write."""
    world.locks.acquire(BASE_KEY, ONE)
    world.now += 1

    def acquire_and_release() -> None:
        world.locks.release(world.locks.acquire(BASE_KEY, ONE))

    world.memory.before_updates = [acquire_and_release]
    assert world.locks.release_owned(ONE) is None


def test_release_owned_frees_only_selected_keys(world: LockWorld) -> None:
    world.locks.acquire(BASE_KEY, ONE)
    world.locks.acquire(f"{BASE_KEY}#slot-1", ONE)
    world.locks.acquire(f"{BASE_KEY}#slot-2", TWO)
    freed = world.locks.release_owned(ONE, only=lambda key: "slot" in key)
    assert freed is not None
    assert freed.lock_key == f"{BASE_KEY}#slot-1"
    assert set(world.owners_by_key().values()) == {ONE, TWO}


@pytest.mark.parametrize(
    ("after", "owner_runs", "build_runs", "freed"),
    [
        (60, False, False, True),
        (60, True, False, False),
        (60, False, True, False),
        (0, False, False, False),
        (-60, False, False, False),
    ],
)
def test_clean_up_needs_ended_owner(
    world: LockWorld, after: float, owner_runs: bool, build_runs: bool, freed: bool
) -> None:
    world.locks.acquire(BASE_KEY, ONE, Subject(build_id=BUILD))
    world.builds_stop_at_once = False
    world.running = {ONE} if owner_runs else {BUILD} if build_runs else set()
    assert (world.locks.release_owned(ONE, acquired_before=world.now + after) is not None) is freed
    assert ("owner" not in world.item()) is freed
    assert world.stopped_builds == ([BUILD] if build_runs else [])


@pytest.mark.parametrize(
    ("holder", "active"),
    [
        (Holder(BASE_KEY, owner=ONE), True),
        (Holder(BASE_KEY, owner="execution:ended"), False),
        (Holder(BASE_KEY, owner="execution:ended", subject=Subject(build_id=BUILD)), True),
        (Holder(BASE_KEY, report_pending=ONE), True),
        (Holder(BASE_KEY, owner=STRANGER), False),
    ],
)
def test_is_active_stops_no_build(world: LockWorld, holder: Holder, active: bool) -> None:
    assert world.locks.is_active(holder) is active
    assert world.stopped_builds == []


def test_abandoned_locks_are_found_and_cleared(world: LockWorld) -> None:
    world.locks.acquire(f"{BASE_KEY}#acme/running", TWO)
    world.locks.acquire(f"{BASE_KEY}#acme/ended", ONE)
    report_pending_of(THREE, running=False)(world)
    world.running.discard(ONE)
    abandoned = {holder.lock_key: holder for holder in world.locks.abandoned(world.locks.holders())}
    assert abandoned.keys() == {f"{BASE_KEY}#acme/ended", BASE_KEY}
    for holder in abandoned.values():
        world.locks.clear_abandoned(holder)
    assert world.locks.abandoned(world.locks.holders()) == []
    assert world.owners_by_key() == {f"{BASE_KEY}#acme/running": TWO}


def test_holders_are_locks_in_use_and_pending_reports(world: LockWorld) -> None:
    world.locks.release(world.locks.acquire(f"{BASE_KEY}#acme/free", ONE))
    world.locks.acquire(f"{BASE_KEY}#acme/held", TWO)
    report_pending_of(THREE)(world)
    assert {holder.lock_key for holder in world.locks.holders()} == {f"{BASE_KEY}#acme/held", BASE_KEY}


def test_free_locks_are_not_transferred(world: LockWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one lock per branch, the table holds those of all branches of the last days."""
    for number in range(50):
        world.locks.release(world.locks.acquire(f"{BASE_KEY}#acme/shop#feature/{number}", ONE))
    world.locks.acquire(f"{BASE_KEY}#acme/shop#feature/50", TWO)
    report_pending_of(THREE)(world)
    scan = world.memory.scan
    transferred: list[str] = []

    def watched(**request: Any) -> dict[str, Any]:
        answer = scan(**request)
        transferred.extend(item["lockKey"]["S"] for item in answer["Items"])
        return answer

    monkeypatch.setattr(world.memory, "scan", watched)
    world.locks.holders()
    assert sorted(transferred) == [BASE_KEY, f"{BASE_KEY}#acme/shop#feature/50"]


@pytest.mark.parametrize("running", [True, False])
def test_owner_of_lock_and_slot_is_asked_about_once(world: LockWorld, running: bool) -> None:
    for key in (f"{BASE_KEY}#acme/shop", f"{BASE_KEY}#slot-1"):
        world.locks.acquire(key, ONE, Subject(build_id=BUILD))
    if not running:
        world.running.discard(ONE)
    holders = world.locks.holders()
    world.asked.clear()
    assert len(world.locks.abandoned(holders)) == (0 if running else 2)
    assert world.asked.count(ONE) == 1
    assert world.stopped_builds == ([] if running else [BUILD])


def test_unstoppable_build_keeps_lock_and_slot(world: LockWorld) -> None:
    for key in (f"{BASE_KEY}#acme/shop", f"{BASE_KEY}#slot-1"):
        world.locks.acquire(key, ONE, Subject(build_id=BUILD))
    world.builds_stop_at_once = False
    world.running.discard(ONE)
    assert world.locks.abandoned(world.locks.holders()) == []
    assert world.stopped_builds == [BUILD]


def test_only_holders_build_is_stopped(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, Subject(build_id=BUILD))
    assert not world.locks.stop_build(replace(lease, owner=TWO))
    assert world.stopped_builds == []
    assert not world.locks.stop_build(lease)
    assert world.stopped_builds == [BUILD]
