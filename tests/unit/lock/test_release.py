from __future__ import annotations

import json
from typing import Any

import pytest

from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.release import release, release_slot
from kiro_worker.state import StateDocument, StepEvent
from tests.support.lock_table import BUILD, ONE, TWO, LockWorld

SLOT = f"{BASE_KEY}#slot-1"
CARD = Subject("PVTI_1", "acme/shop", "feature/x", BUILD)
DESCRIPTION = {"lockKey": BASE_KEY, "workItemId": "PVTI_1", "repository": "acme/shop", "branch": "feature/x"}


def event(state: str = "ReleaseLock", **document: Any) -> StepEvent:
    return StepEvent(ONE, 0, {}, state, StateDocument.parse(document))


def test_lease_is_released_by_its_fence(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE).to_dict()
    assert release(world.locks, event(lease=lease | {"fence": 1})) is None
    assert release(world.locks, event(lease=lease)) == {"lockKey": BASE_KEY}
    assert "owner" not in world.item()


def keys_left(world: LockWorld) -> set[str]:
    return set(world.memory.items)


BRANCH_KEY = f"{BASE_KEY}#acme/shop#feature/x"


@pytest.mark.parametrize(
    ("key", "state", "report", "kept"),
    [
        (BRANCH_KEY, "ReleaseLock", {"status": "In Review"}, False),
        (BRANCH_KEY, "ReleaseLock", None, True),
        (BRANCH_KEY, "ReleaseLockAfterFailure", {"status": "In Review"}, True),
        (f"{BASE_KEY}#acme/shop", "ReleaseLock", {"status": "In Review"}, True),
        (BASE_KEY, "ReleaseLock", {"status": "In Review"}, True),
    ],
    ids=["branch", "card moved", "failure", "repository", "environment"],
)
def test_only_lock_of_built_branch_is_deleted(
    world: LockWorld, key: str, state: str, report: dict[str, str] | None, kept: bool
) -> None:
    """A redriven execution needs the fence of the attempt before."""
    lease = world.locks.acquire(key, ONE).to_dict()
    document = {"lease": lease, **({"report": report} if report else {})}
    assert release(world.locks, event(state, **document)) == {"lockKey": key}
    assert keys_left(world) == ({key} if kept else set())
    assert world.locks.read(key).owner == ""
    assert world.locks.acquire(key, TWO).owner == TWO


def test_deletion_whose_answer_was_lost_frees_no_other_lock(world: LockWorld) -> None:
    document: dict[str, Any] = {
        "lease": world.locks.acquire(BRANCH_KEY, ONE).to_dict(),
        "report": {"status": "In Review"},
    }
    assert release(world.locks, event(**document))
    world.now += 1
    world.locks.acquire(BRANCH_KEY, TWO)
    assert release(world.locks, event(**document)) is None
    assert world.locks.read(BRANCH_KEY).owner == TWO


def test_pending_report_is_recorded_on_request(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE).to_dict()
    assert release(world.locks, event("ReleaseLockAfterFailure", lease=lease, reportPending=True))
    assert world.item()["reportPending"] == {"S": ONE}
    assert release(world.locks, event(lease=lease, reportPending=True)), "a redrive has made the report"
    assert "reportPending" not in world.item()


@pytest.mark.parametrize("source", ["build", "failure"])
def test_fence_of_build_is_released(world: LockWorld, source: str) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE)
    world.now += 1
    fence = world.locks.acquire(BASE_KEY, ONE).fence
    variables = [{"Name": "RESULT_FENCE", "Value": str(fence)}]
    build = {"Id": BUILD, "BuildStatus": "FAILED", "ExportedEnvironmentVariables": variables}
    document: dict[str, Any] = (
        {"build": {"variables": variables}}
        if source == "build"
        else {"failure": {"cause": json.dumps({"Build": build})}}
    )
    assert release(world.locks, event(lease=lease.to_dict(), **document)) == {"lockKey": BASE_KEY}


def test_release_needs_no_lease(world: LockWorld) -> None:
    world.locks.acquire(BASE_KEY, ONE, CARD)
    assert release(world.locks, event()) == DESCRIPTION
    assert release(world.locks, event()) is None


@pytest.mark.parametrize(("runs", "released"), [(False, DESCRIPTION), (True, None)])
def test_clean_up_requires_ended_execution(world: LockWorld, runs: bool, released: dict[str, str] | None) -> None:
    world.locks.acquire(BASE_KEY, ONE, CARD)
    world.running = {ONE} if runs else set()
    assert release(world.locks, event(endedAt=int(world.now + 1) * 1000)) == released
    assert world.item().get("reportPending") == (None if runs else {"S": ONE})


@pytest.mark.parametrize(
    ("state", "stops", "released"),
    [("RunBuild", True, True), ("RunBuild", False, False), ("MarkInReview", False, True)],
)
def test_running_build_keeps_lock_and_slot(world: LockWorld, state: str, stops: bool, released: bool) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE, CARD)
    world.locks.acquire(SLOT, ONE)
    world.builds_stop_at_once = stops
    failed = event(lease=lease.to_dict() | {"slot": SLOT}, failure={"state": state, "cause": ""})
    release_slot(world.locks, failed)
    assert (SLOT not in world.owners_by_key()) is released
    assert (release(world.locks, failed) is not None) is released
    assert world.stopped_builds == ([] if state != "RunBuild" else [BUILD] if stops else [BUILD, BUILD])


def test_lease_without_slot_frees_no_slot(world: LockWorld) -> None:
    lease = world.locks.acquire(BASE_KEY, ONE)
    world.locks.acquire(SLOT, ONE)
    release_slot(world.locks, event(lease=lease.to_dict()))
    assert SLOT in world.owners_by_key()
    release_slot(world.locks, event())
    assert SLOT not in world.owners_by_key()


def test_slot_release_leaves_lock(world: LockWorld) -> None:
    world.locks.acquire(BASE_KEY, ONE)
    world.locks.acquire(f"{BASE_KEY}#slot-2", TWO)
    world.locks.acquire(SLOT, ONE)
    world.running.discard(ONE)
    release_slot(world.locks, event(endedAt=int(world.now + 1) * 1000))
    assert world.owners_by_key() == {BASE_KEY: ONE, f"{BASE_KEY}#slot-2": TWO}
