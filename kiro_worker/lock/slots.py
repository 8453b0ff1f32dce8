"""The slots of ``maxConcurrentBuilds``, which limit how many builds run at once under repository or branch locks.

A slot is a lock like any other, in the same table: it has one holder and a fence, and is taken over once its holder has
ended, so no slot can stay taken forever. A run first takes the lock of its repository or branch and then a slot, and
releases the lock if no slot is free. Only AcquireLock applies the configured limit; a build keeps its execution's slot.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kiro_worker.errors import LockHeld, ScopedLockHeld
from kiro_worker.lock.item import NO_SUBJECT
from kiro_worker.lock.keys import slot_keys
from kiro_worker.models import Lease

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.config.model import Configuration
    from kiro_worker.lock.item import Subject
    from kiro_worker.lock.table import LockTable


def acquire_with_slot(
    locks: LockTable, configuration: Configuration, key: str, owner: str, subject: Subject = NO_SUBJECT
) -> Lease:
    """Acquire the lock and, if the number of builds is limited, a slot. Safe to repeat.

    Raises the errors of :meth:`LockTable.acquire`, and :class:`LockHeld` if no slot is free; the lock is then released.
    """
    lease = locks.acquire(key, owner, subject)
    keys = slot_keys(configuration)
    if not keys:
        return lease
    try:
        return replace(lease, slot=_take_slot(locks, keys, owner, _without_card(subject)))
    except LockHeld:
        locks.release(lease)
        raise


def keep_slot(locks: LockTable, configuration: Configuration, lease: Lease, subject: Subject = NO_SUBJECT) -> Lease:
    """Keep the slot that ``lease`` names and record the build in it; if it was lost, take it or another one again.

    Raises :class:`LockHeld` if no slot is free.
    """
    if not lease.slot:
        return lease
    holder, subject = locks.read(lease.slot), _without_card(subject)
    if holder.owner == lease.owner:
        if holder.subject.build_id != subject.build_id:
            locks.ensure(Lease(lease.slot, lease.owner, holder.fence, expires_at=0), subject)
        return lease
    keys = dict.fromkeys((lease.slot, *slot_keys(configuration)))
    return replace(lease, slot=_take_slot(locks, tuple(keys), lease.owner, subject))


def release_slot_of_build(locks: LockTable, slot: str, owner: str) -> None:
    """Free the slot of a manually started build, which knows its slot and whose role may not scan the table."""
    if slot and (holder := locks.read(slot)).owner == owner:
        locks.release(Lease(slot, owner, holder.fence, expires_at=0))


def _take_slot(locks: LockTable, keys: Sequence[str], owner: str, subject: Subject) -> str:
    holders = [locks.read(key) for key in keys]
    # Try the owner's own slot first, so that a repeated step takes only one; then free slots; then taken ones,
    # whose holders may have ended.
    for holder in sorted(holders, key=lambda holder: (holder.owner != owner, holder.owner != "")):
        try:
            return locks.acquire(holder.lock_key, owner, subject).lock_key
        except ScopedLockHeld:
            continue
    owners = ", ".join(holder.owner or "a run that has just started" for holder in holders)
    raise LockHeld(
        f"all {len(keys)} slots for concurrent builds are taken, by {owners}",
        'wait for a build to end, or raise "maxConcurrentBuilds" in the configuration parameter',
    )


def _without_card(subject: Subject) -> Subject:
    """The subject of a slot. It names no card: the lock already does, and only one of them may report to the card."""
    return replace(subject, work_item_id="")
