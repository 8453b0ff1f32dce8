"""The rules of ReleaseLock: which locks an execution, or the clean-up after it, may free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kiro_worker.lock.keys import is_slot

if TYPE_CHECKING:
    from kiro_worker.lock.item import Holder
    from kiro_worker.lock.table import LockTable
    from kiro_worker.state import StateDocument, StepEvent


def release(locks: LockTable, event: StepEvent) -> dict[str, str] | None:
    """Free the execution's lock and return a description of it; ``None`` if there was nothing to free.

    The state document decides which lock that is:

    - with ``lease``, exactly that one, or the one that the build acquired again after it found the lock free;
    - without ``lease`` (AcquireLock's answer was lost), everything that the execution holds;
    - with ``endedAt`` (epoch milliseconds, set by the clean-up), everything that the execution acquired before then,
      provided that it has ended: a redriven execution holds a lock again.

    With ``reportPending`` (the card could not be moved), the lock's item records that, and the next run reports it. The
    state ``ReleaseLock`` follows a report, so it removes what an earlier attempt of a redriven execution recorded:
    otherwise, the run that it starts would find the lock taken.
    """
    document = event.document
    if document.ended_at is not None:
        # The clean-up updates the card next. If that fails, this record makes the next run report it.
        before = document.ended_at / 1000
        return _describe(locks.release_owned(event.execution_arn, acquired_before=before, report_pending=True))
    if document.lease is None:
        return _describe(locks.release_owned(event.execution_arn))
    lease = document.lease
    if _build_still_running(locks, document):
        # The next run that needs the lock checks the build again.
        return None
    is_last = event.state == "ReleaseLock"
    pending, is_done = document.report_pending and not is_last, is_last and document.report is not None
    for fence in (_fence_of_build(document), lease.fence):
        if fence and locks.release(replace(lease, fence=fence), report_pending=pending, is_done=is_done):
            return {"lockKey": lease.lock_key}
    return None


def release_slot(locks: LockTable, event: StepEvent) -> None:
    """Free the execution's slot by the same rules as its lock (:func:`release`).

    Call it before :func:`release`, so that a run that finds the lock free also finds a slot free. The slot is looked up
    by its owner, because a build that lost its slot may have taken another one.
    """
    document = event.document
    if document.ended_at is not None:
        locks.release_owned(event.execution_arn, acquired_before=document.ended_at / 1000, only=is_slot)
    elif document.lease is None or (document.lease.slot and not _build_still_running(locks, document)):
        locks.release_owned(event.execution_arn, only=is_slot)


def _build_still_running(locks: LockTable, document: StateDocument) -> bool:
    """Stop a build that RunBuild gave up on, and return whether it is still running.

    RunBuild gives up if the answer to its start request is lost or the state times out.
    """
    given_up = document.failure is not None and document.failure.state == "RunBuild"
    return given_up and document.lease is not None and locks.stop_build(document.lease)


def _fence_of_build(document: StateDocument) -> int:
    if document.build and document.build.fence:
        return document.build.fence
    failed = document.failure.build if document.failure else None
    return failed.fence if failed else 0


def _describe(holder: Holder | None) -> dict[str, str] | None:
    if holder is None:
        return None
    subject = holder.subject
    return {
        "lockKey": holder.lock_key,
        "workItemId": subject.work_item_id,
        "repository": subject.repository,
        "branch": subject.branch,
    }
