"""The slots of ``maxConcurrentBuilds``, which limit how many builds run at once under repository or branch locks.

A slot is a lock like any other, in the same table: it has one holder and a fence, and is taken over once its holder has
ended, so no slot can stay taken forever. A run first takes the lock of its repository or branch and then a slot, and
releases the lock if no slot is free. Only AcquireLock applies the configured limit; a build keeps its execution's slot.

All slots are read in one request, and only a slot that is free or whose holder has ended is written to. So acquiring a
lock and a slot takes three requests, however many slots there are.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import LockHeld
from kiro_worker.lock.item import NO_SUBJECT
from kiro_worker.lock.keys import slot_keys
from kiro_worker.models import Lease

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kiro_worker.config.model import Configuration
    from kiro_worker.lock.item import Holder, Subject
    from kiro_worker.lock.table import LockTable

# How many times we read the slots again after a slot was freed, or the answer to our own write was lost.
_ATTEMPTS: Final = 4


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
    return replace(lease, slot=_take_slot(locks, tuple(keys), lease.owner, subject, preferred=lease.slot))


def release_slot_of_build(locks: LockTable, slot: str, owner: str) -> None:
    """Free the slot of a manually started build, which knows its slot and whose role may not scan the table."""
    if slot and (holder := locks.read(slot)).owner == owner:
        locks.release(Lease(slot, owner, holder.fence, expires_at=0))


def _take_slot(locks: LockTable, keys: Sequence[str], owner: str, subject: Subject, preferred: str = "") -> str:
    known_active: set[tuple[str, str]] = set()
    holders: list[Holder] = []
    # Without releases, every write that comes too late means that one more slot is taken.
    for _ in range(len(keys) + _ATTEMPTS):
        holders = locks.read_many(keys)
        holder = _first_available(locks, _in_order(holders, owner, preferred), owner, known_active)
        if holder is None:
            break
        # If another run was faster, many others may have been: reading again costs one request, and trying the other
        # slots that were free may cost one each.
        if lease := locks.take(holder, owner, subject):
            return lease.lock_key
    owners = ", ".join(holder.owner or "a run that has just started" for holder in holders)
    raise LockHeld(
        f"all {len(keys)} slots for concurrent builds are taken, by {owners}",
        'wait for a build to end, or raise "maxConcurrentBuilds" in the configuration parameter',
    )


def _in_order(holders: list[Holder], owner: str, preferred: str) -> list[Holder]:
    """The owner's own slot first, so that a repeated step takes only one; then free slots; then taken ones.

    Free slots start at one that depends on the owner, so that runs that start at once do not all try the same one.
    """
    start = int.from_bytes(hashlib.sha256(owner.encode()).digest()) % len(holders)
    return sorted(
        holders[start:] + holders[:start],
        key=lambda holder: (holder.owner != owner, not holder.is_free_for(owner), holder.lock_key != preferred),
    )


def _first_available(
    locks: LockTable, holders: Iterable[Holder], owner: str, known_active: set[tuple[str, str]]
) -> Holder | None:
    """The first slot that is free for ``owner`` or whose holder has ended; ``None`` if there is none.

    Adds the slots and holders that are found active to ``known_active``, and does not ask about them again.
    """
    # Not kept for the next reading of the slots: an execution that had ended may have been redriven since.
    still_active = locks.asking_once()
    for holder in holders:
        if holder.is_free_for(owner):
            return holder
        taken = (holder.lock_key, holder.owner or holder.report_pending)
        if taken in known_active:
            continue
        if not still_active(holder):
            return holder
        known_active.add(taken)
    return None


def _without_card(subject: Subject) -> Subject:
    """The subject of a slot. It names no card: the lock already does, and only one of them may report to the card."""
    return replace(subject, work_item_id="")
