"""ReleaseLock's rules: what an execution, or the clean-up after it, may free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kiro_worker.lock.keys import is_slot

if TYPE_CHECKING:
    from kiro_worker.lock.item import Holder
    from kiro_worker.lock.table import LockTable
    from kiro_worker.state import StateDocument, StepEvent


def release(locks: LockTable, event: StepEvent) -> dict[str, str] | None:
    """Free the lock that ``event``'s execution holds, and say what it named; ``None`` when there was nothing to free.

    With a ``lease`` in the document it is exactly that one, or the one that the build took when it found the lock
    gone. Without one (the answer of AcquireLock was lost) it is whatever the execution holds. With ``reportPending`` (the
    card could not be moved) the lock remembers it, for the next run to tell. With ``endedAt`` (epoch
    milliseconds, the clean-up) the execution must have ended, and the lock must have been taken before that moment: an
    execution redriven meanwhile holds its own.
    """
    document = event.document
    if document.ended_at is not None:
        # The card is told next, and should that fail it is not forgotten.
        before = document.ended_at / 1000
        return _named(locks.release_owned(event.execution_arn, acquired_before=before, report_pending=True))
    if document.lease is None:
        return _named(locks.release_owned(event.execution_arn))
    lease = document.lease
    if _outlived(locks, document):
        # Whoever asks for the lock next asks for the build.
        return None
    for fence in (_fence_of_build(document), lease.fence):
        if fence and locks.release(replace(lease, fence=fence), report_pending=document.report_pending):
            return {"lockKey": lease.lock_key}
    return None


def release_slot(locks: LockTable, event: StepEvent) -> None:
    """Free the place that ``event``'s execution has, by the same rules as its lock (:func:`release`), and before it:
    whoever finds the lock free finds the place free too.

    It is looked for by its owner, because a build whose place was lost may have taken another.
    """
    document = event.document
    if document.ended_at is not None:
        locks.release_owned(event.execution_arn, acquired_before=document.ended_at / 1000, only=is_slot)
    elif document.lease is None or (document.lease.slot and not _outlived(locks, document)):
        locks.release_owned(event.execution_arn, only=is_slot)


def _outlived(locks: LockTable, document: StateDocument) -> bool:
    """Whether the build runs on although RunBuild has given it up: the start's answer was lost, or the state's time was
    up. It is told to stop.
    """
    given_up = document.failure is not None and document.failure.state == "RunBuild"
    return given_up and document.lease is not None and locks.stop_build(document.lease)


def _fence_of_build(document: StateDocument) -> int:
    if document.build and document.build.fence:
        return document.build.fence
    failed = document.failure.build if document.failure else None
    return failed.fence if failed else 0


def _named(holder: Holder | None) -> dict[str, str] | None:
    if holder is None:
        return None
    subject = holder.subject
    return {
        "lockKey": holder.lock_key,
        "workItemId": subject.work_item_id,
        "repository": subject.repository,
        "branch": subject.branch,
    }
