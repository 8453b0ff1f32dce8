"""``maxConcurrentBuilds``: with a lock for each repository or branch, how many builds may run at once.

Each of the places is a lock like any other, in the same table: one holder, fenced, taken over once that holder has
ended, so that no place can stay taken. A run takes the narrow lock first and then a place, and gives the lock back
when there is none. Only AcquireLock decides by the configuration; a build keeps the place that its execution got.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kiro_worker.errors import LockHeld, ScopedLockHeld
from kiro_worker.lock.item import NOBODY
from kiro_worker.lock.keys import slot_keys
from kiro_worker.models import Lease

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.config.model import Configuration
    from kiro_worker.lock.item import Subject
    from kiro_worker.lock.table import LockTable


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
