"""The rules of ReleaseLock: which locks an execution, or the clean-up after it, may free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kiro_worker.lock.keys import is_slot
from kiro_worker.models import BuildResult, Lease

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.lock.item import Holder
    from kiro_worker.lock.table import LockTable
    from kiro_worker.models import StepEvent


def release(locks: LockTable, event: StepEvent) -> dict[str, str] | None:
    """Free the lock that ``event``'s execution holds and describe it; ``None`` when there was nothing to free.

    The state document decides which lock that is:

    - with ``lease``, exactly that one, or the one that the build acquired again when it found the lock free;
    - without ``lease`` (AcquireLock's answer was lost), everything that the execution holds;
    - with ``endedAt`` (epoch milliseconds, set by the clean-up), what the execution acquired before that moment,
      provided that it has ended: after a redrive it holds its own lock.

    With ``reportPending`` (the card could not be moved), the lock records that for the next run to report.
    """
    document = event.document
    if "endedAt" in document:
        # The clean-up reports to the card next; the record makes sure that a failure there is not forgotten.
        before = document["endedAt"] / 1000
        return _describe(locks.release_owned(event.execution_arn, acquired_before=before, report_pending=True))
    if "lease" not in document:
        return _describe(locks.release_owned(event.execution_arn))
    lease = Lease.from_dict(document["lease"])
    if _build_still_running(locks, document):
        # The run that asks for the lock next checks the build again.
        return None
    for fence in (_fence_of_build(document), lease.fence):
        if fence and locks.release(replace(lease, fence=fence), report_pending=document.get("reportPending", False)):
            return {"lockKey": lease.lock_key}
    return None


def release_slot(locks: LockTable, event: StepEvent) -> None:
    """Free the slot of ``event``'s execution by the same rules as its lock (:func:`release`).

    Call it before :func:`release`, so that a run which finds the lock free finds a slot free too. The slot is looked up
    by its owner, because a build that lost its slot may have taken another one.
    """
    document = event.document
    if "endedAt" in document:
        locks.release_owned(event.execution_arn, acquired_before=document["endedAt"] / 1000, only=is_slot)
    elif "lease" not in document or (document["lease"].get("slot") and not _build_still_running(locks, document)):
        locks.release_owned(event.execution_arn, only=is_slot)


def _build_still_running(locks: LockTable, document: Mapping[str, Any]) -> bool:
    """Stop a build that RunBuild gave up on, and return whether it still runs.

    RunBuild gives up when the answer to its start request was lost, or when the state timed out.
    """
    given_up = document.get("failure", {}).get("state") == "RunBuild"
    return given_up and locks.stop_build(Lease.from_dict(document["lease"]))


def _fence_of_build(document: Mapping[str, Any]) -> int:
    if "build" in document and (fence := BuildResult.from_document(document["build"]).fence):
        return fence
    build = BuildResult.from_cause(document.get("failure", {}).get("cause", ""))
    return build.fence if build else 0


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
