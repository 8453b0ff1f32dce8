"""``maxConcurrentBuilds``: with a lock for each repository or branch, how many builds may run at once.

Each of the places is a lock like any other, in the same table: one holder, fenced, taken over once that holder has
ended, so that no place can stay taken. A run takes the narrow lock first and then a place, and gives the lock back
when there is none. Only AcquireLock decides by the configuration; a build keeps the place that its execution got.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import LockHeld, ScopedLockHeld
from kiro_worker.lock import BASE_KEY, outlived
from kiro_worker.lock_item import NOBODY
from kiro_worker.models import Lease

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.config import Configuration
    from kiro_worker.lock import LockTable
    from kiro_worker.lock_item import Holder, Subject
    from kiro_worker.models import StepEvent

# No repository's key: those have an owner, and so a slash.
_SLOT: Final = re.compile(rf"{BASE_KEY}#slot-\d+")


def slot_keys(configuration: Configuration) -> tuple[str, ...]:
    """The keys of the places; none without a bound, and where one lock alone bounds everything."""
    if configuration.lock_scope == "environment" or configuration.max_concurrent_builds is None:
        return ()
    return tuple(f"{BASE_KEY}#slot-{number}" for number in range(1, configuration.max_concurrent_builds + 1))


def acquire_with_slot(
    locks: LockTable, configuration: Configuration, key: str, owner: str, subject: Subject = NOBODY
) -> Lease:
    """The lock and, where builds are bounded, a place; safe to run twice.

    Raises what :meth:`LockTable.acquire` does, and :class:`LockHeld` when no place is free: nothing is held then.
    """
    lease = locks.acquire(key, owner, subject)
    keys = slot_keys(configuration)
    if not keys:
        return lease
    try:
        return replace(lease, slot=_take_one(locks, keys, owner, _nobodys(subject)))
    except LockHeld:
        locks.release(lease)
        raise


def keep_slot(locks: LockTable, configuration: Configuration, lease: Lease, subject: Subject = NOBODY) -> Lease:
    """The place that the lease names is still its owner's: go on, and note there too the build that does. Otherwise
    take that one again, or another.

    Raises :class:`LockHeld` when there is none, for then as many builds as may run do run.
    """
    if not lease.slot:
        return lease
    place, subject = locks.read(lease.slot), _nobodys(subject)
    if place.owner == lease.owner:
        if place.subject.build_id != subject.build_id:
            locks.ensure(Lease(lease.slot, lease.owner, place.fence, expires_at=0), subject)
        return lease
    keys = dict.fromkeys((lease.slot, *slot_keys(configuration)))
    return replace(lease, slot=_take_one(locks, tuple(keys), lease.owner, subject))


def release_slot(locks: LockTable, event: StepEvent) -> None:
    """Free the place that ``event``'s execution has, by the same rules as its lock
    (:func:`kiro_worker.lock.release`), and before it: whoever finds the lock free finds the place free too.

    It is looked for by its owner, because a build whose place was lost may have taken another.
    """
    document = event.document
    if "endedAt" in document:
        locks.release_owned(event.execution_arn, acquired_before=document["endedAt"] / 1000, only=_is_slot)
    elif "lease" not in document or (document["lease"].get("slot") and not outlived(locks, document)):
        locks.release_owned(event.execution_arn, only=_is_slot)


def release_slot_of_build(locks: LockTable, slot: str, owner: str) -> None:
    """The same for a build that was started by hand, which knows its place and may not look through the table."""
    if slot and (holder := locks.read(slot)).owner == owner:
        locks.release(Lease(slot, owner, holder.fence, expires_at=0))


def _take_one(locks: LockTable, keys: Sequence[str], owner: str, subject: Subject) -> str:
    holders = [locks.read(key) for key in keys]
    # Its own first, so that a step that runs twice takes no second; then what is free; then what may be taken over.
    for holder in sorted(holders, key=lambda holder: (holder.owner != owner, holder.owner != "")):
        try:
            return locks.acquire(holder.lock_key, owner, subject).lock_key
        except ScopedLockHeld:
            continue
    raise LockHeld(
        f"{len(keys)} builds run, as many as may at once: "
        + ", ".join(f"{holder.owner or 'a run that has just begun'}" for holder in holders),
        'nothing, the next run tries again; or raise "maxConcurrentBuilds" in the configuration parameter',
    )


def _nobodys(subject: Subject) -> Subject:
    """A place says nothing of a card: whoever finds it left behind tells none, the lock beside it does."""
    return replace(subject, work_item_id="")


def _is_slot(holder: Holder) -> bool:
    return _SLOT.fullmatch(holder.lock_key) is not None
