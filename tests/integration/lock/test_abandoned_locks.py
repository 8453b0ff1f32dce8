"""Locks, pending reports and builds that executions leave in the lock table when they end."""

from __future__ import annotations

from typing import Any

import pytest

from kiro_worker.errors import LockHeld
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.release import release
from kiro_worker.models import Lease
from kiro_worker.state import StateDocument, StepEvent
from tests.support.lock_table import BUILD, ONE, TABLE, TWO, LockWorld

CARD = Subject("PVTI_1", "acme/shop", "feature/x", BUILD)


def run_release_lock(
    world: LockWorld, lease: Lease, *, state: str = "ReleaseLockAfterFailure", **document: Any
) -> object:
    parsed = StateDocument.parse({"lease": lease.to_dict(), **document})
    return release(world.locks, StepEvent(lease.owner, 0, {}, state, parsed))


def test_running_execution_abandons_nothing(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, CARD)
    assert world.locks.abandoned(world.locks.holders()) == []
    run_release_lock(world, lease, reportPending=True)
    assert world.locks.abandoned(world.locks.holders()) == [], "a redrive may still report to the card"


def test_ended_owners_lock_is_abandoned(world: LockWorld) -> None:
    world.locks.acquire(BASE_KEY, ONE, Subject("PVTI_1"))
    world.running.remove(ONE)
    [holder] = world.locks.abandoned(world.locks.holders())
    assert (holder.owner, holder.subject.work_item_id) == (ONE, "PVTI_1")
    world.locks.clear_abandoned(holder)
    assert "owner" not in world.item()
    assert world.locks.abandoned(world.locks.holders()) == []


def test_freed_lock_keeps_pending_report(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, Subject("PVTI_1"))
    run_release_lock(world, lease, reportPending=True)
    world.running.remove(ONE)
    assert ("owner" in world.item(), world.item()["reportPending"]) == (False, {"S": ONE})
    [holder] = world.locks.abandoned(world.locks.holders())
    world.locks.clear_abandoned(holder)
    assert "reportPending" not in world.item()


def test_normal_release_leaves_nothing(world: LockWorld) -> None:
    run_release_lock(world, world.locks.acquire(BASE_KEY, ONE, Subject("PVTI_1")))
    world.running.remove(ONE)
    assert world.locks.abandoned(world.locks.holders()) == []


def test_reacquired_lock_is_not_cleared(world: LockWorld) -> None:
    world.locks.acquire(BASE_KEY, ONE, Subject("PVTI_1"))
    world.running.remove(ONE)
    [holder] = world.locks.abandoned(world.locks.holders())
    world.locks.acquire(BASE_KEY, TWO, Subject("PVTI_2"))
    world.locks.clear_abandoned(holder)
    assert world.item()["owner"] == {"S": TWO}


def test_abandoned_build_is_stopped(world: LockWorld) -> None:
    world.locks.acquire(BASE_KEY, ONE, CARD)
    world.running.remove(ONE)
    assert world.locks.acquire(BASE_KEY, TWO).owner == TWO
    assert world.stopped_builds == [BUILD]


def test_unstoppable_build_keeps_lock(world: LockWorld) -> None:
    world.builds_stop_at_once = False
    world.locks.acquire(BASE_KEY, ONE, CARD)
    world.running.remove(ONE)
    with pytest.raises(LockHeld):
        world.locks.acquire(BASE_KEY, TWO)
    assert world.locks.abandoned(world.locks.holders()) == []
    assert world.locks.release_owned(ONE, acquired_before=9e9) is None
    world.running.remove(BUILD)
    assert world.locks.acquire(BASE_KEY, TWO).owner == TWO


def test_lock_stays_while_build_runs(world: LockWorld) -> None:
    """The answer to the start request was lost, or the state timed out."""
    world.builds_stop_at_once = False
    lease = world.locks.acquire(BASE_KEY, ONE, CARD)
    failure = {"state": "RunBuild", "error": "States.Timeout", "cause": ""}
    assert run_release_lock(world, lease, failure=failure) is None
    assert world.item()["owner"] == {"S": ONE}
    assert world.stopped_builds == [BUILD]
    world.running.remove(BUILD)
    assert run_release_lock(world, lease, failure=failure) is not None


def test_other_owners_build_is_not_stopped(world: LockWorld) -> None:
    """After ``LockLost``, the build under the lock belongs to another execution."""
    lease = world.locks.acquire(BASE_KEY, ONE)
    world.locks.release(lease)
    world.locks.acquire(BASE_KEY, TWO, CARD)
    assert (
        run_release_lock(world, lease, failure={"state": "RunBuild", "error": "States.TaskFailed", "cause": ""}) is None
    )
    assert (world.stopped_builds, world.item()["owner"]) == ([], {"S": TWO})


def test_pending_report_blocks_other_runs(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, CARD)
    run_release_lock(world, lease, reportPending=True)
    with pytest.raises(LockHeld, match="one"):
        world.locks.acquire(BASE_KEY, TWO)
    assert world.locks.abandoned(world.locks.holders()) == []
    world.running -= {ONE, BUILD}
    [holder] = world.locks.abandoned(world.locks.holders())
    assert holder.report_pending == ONE
    assert world.locks.acquire(BASE_KEY, TWO).fence > lease.fence


def test_own_pending_report_blocks_nothing(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, CARD)
    run_release_lock(world, lease, reportPending=True)
    assert world.locks.acquire(BASE_KEY, ONE).fence > lease.fence
    assert "reportPending" not in world.item()


def test_pending_report_alone_is_cleared(world: LockWorld) -> None:
    world.dynamodb.put_item(TableName=TABLE, Item={"lockKey": {"S": BASE_KEY}, "reportPending": {"S": "gone"}})
    for holder in world.locks.abandoned(world.locks.holders()):
        world.locks.clear_abandoned(holder)
    assert "reportPending" not in world.item()


def test_report_of_redrive_frees_lock_for_next_run(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, CARD)
    run_release_lock(world, lease, reportPending=True)
    run_release_lock(world, lease, state="ReleaseLock", reportPending=True)
    assert "reportPending" not in world.item()
    assert world.locks.acquire(BASE_KEY, TWO).fence > lease.fence


@pytest.mark.parametrize("later", [ONE, TWO])
def test_late_report_leaves_other_leases_alone(world: LockWorld, later: str) -> None:
    """A later attempt of the same execution, or another execution that ended without a report."""
    lease = world.locks.acquire(BASE_KEY, ONE, CARD)
    world.locks.release(lease)
    run_release_lock(world, world.locks.acquire(BASE_KEY, later, CARD), reportPending=True)
    assert run_release_lock(world, lease, state="ReleaseLock", reportPending=True) is None
    assert world.item()["reportPending"] == {"S": later}
