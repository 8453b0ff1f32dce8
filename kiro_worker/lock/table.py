"""The rules of the lock: an owner holds a key until it releases it, or until it has ended and another run needs it.

Acquiring and releasing take one conditional write each, so a cycle without contention costs two requests. A run that
finds the lock held checks whether the owner is still running. If the owner has ended, the run takes the lock over at
once; if it is running, it keeps the lock, whether or not the lease has expired. The lease's expiry matters only for an
owner whose state cannot be determined. DynamoDB's TTL (epoch seconds, deletes within days) only removes old items.

A fence is higher than every earlier one for as long as the item exists, whatever the writers' clocks say. ``owner`` and
``fence`` together identify the holder and are compared for equality, so the lock stays safe even if a person deletes
the item and the next fence can come only from the clock.
"""

from __future__ import annotations

import json
import math
import shlex
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import LockError, LockHeld, LockLost, ScopedLockHeld
from kiro_worker.lock.item import NO_SUBJECT, Holder, Subject
from kiro_worker.lock.keys import BASE_KEY, is_of_branch
from kiro_worker.lock.store import LockStore
from kiro_worker.models import Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

# Two writers' clocks may each be five minutes off; a lease counts as expired only once it has expired by both of them.
_SKEW_SECONDS: Final = 600
# How many times we try again after another writer changed the item between our read and our write.
_ATTEMPTS: Final = 4


class LockTable:
    """The locks of one environment.

    ``is_running`` returns whether an owner or build may still act, or ``None`` if it cannot find out
    (:mod:`kiro_worker.lock.owner`). ``clock`` returns epoch seconds. ``stop_build`` stops an abandoned build.
    """

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        table_name: str,
        lease_seconds: int,
        is_running: Callable[[str], bool | None],
        clock: Callable[[], float] = time.time,
        stop_build: Callable[[str], None] | None = None,
    ) -> None:
        self._store = LockStore(dynamodb, table_name)
        self._lease_seconds = lease_seconds
        self._is_running = is_running
        self._clock = clock
        self._stop_build = stop_build

    def acquire(self, key: str, owner: str, subject: Subject = NO_SUBJECT, *, above: int = 0) -> Lease:
        """Take the lock if it is free, already held by ``owner``, or held by an owner that has ended.

        The new fence is higher than both ``above`` and the item's fence. If an active owner holds the lock, raises
        :class:`LockHeld`, or :class:`ScopedLockHeld` for the key of a repository or branch.
        """
        taken = self._take(key, owner, subject, above=above)
        for _ in range(_ATTEMPTS):
            if isinstance(taken, Lease):
                return taken
            # A free lock with a pending report counts as held until that run ends; otherwise the report would be lost.
            if not taken.is_free_for(owner) and self.still_active_after_stop(taken):
                break
            # The owner has ended, or its fence is ahead of our clock. The write requires the item exactly as we read
            # it, so that only one of several contenders takes it over.
            taken = self._take(key, owner, subject, above=max(above, taken.fence), expected=taken)
        if isinstance(taken, Lease):
            return taken
        raise _held_error(taken, self._store.table_name)

    def take(self, holder: Holder, owner: str, subject: Subject = NO_SUBJECT) -> Lease | None:
        """Take the lock if its item is still as it was read; ``None`` if another writer has changed it since.

        The caller makes sure that the lock is free for ``owner``, or that ``holder`` is no longer active.
        """
        taken = self._take(holder.lock_key, owner, subject, above=holder.fence, expected=holder)
        return taken if isinstance(taken, Lease) else None

    def ensure(self, lease: Lease, subject: Subject = NO_SUBJECT) -> Lease:
        """Keep the lock held under ``lease`` and record the build in it, or acquire it again if it is free.

        Raises :class:`LockLost` if another owner holds the lock, if another build of the same execution is still
        running under it, or if ``lease.owner`` has ended, which means that this build is abandoned.
        """
        holder = self.read(lease.lock_key)
        for _ in range(_ATTEMPTS):
            same_build = holder.subject.build_id == subject.build_id
            # A later fence is ours too if the item names this build: the answer to our own write was lost.
            ours = holder.owner == lease.owner and (
                holder.fence == lease.fence or (same_build and subject.build_id != "")
            )
            if ours and same_build and holder.expires_at > self._clock() + self._lease_seconds / 2:
                return replace(lease, fence=holder.fence, expires_at=int(holder.expires_at))
            if holder.owner and not ours and (holder.owner != lease.owner or holder.fence > lease.fence):
                break
            self._require_sole_build(lease, holder.subject.build_id if ours and not same_build else "")
            # The item must be exactly as we read it: a later attempt of the same execution may be taking it too.
            above = max(lease.fence, holder.fence)
            taken = (
                self._renew(lease, subject, holder)
                if ours
                else self._take(lease.lock_key, lease.owner, subject, above=above, expected=holder)
            )
            if isinstance(taken, Lease):
                return replace(taken, slot=lease.slot)
            holder = taken
        raise LockLost(
            f"the lock {lease.lock_key} has been held by {holder.owner} since"
            f" {holder.acquired_at or 'an unknown time'}, so this build changed nothing",
            "replay the card when that execution has ended",
        )

    def release(self, lease: Lease, *, report_pending: bool = False, is_done: bool = False) -> bool:
        """Free the lock if it is held under ``lease``, and return whether it was. Safe to repeat.

        ``report_pending`` records that the card does not yet show how the run ended. With ``is_done``, no later attempt
        of the execution needs the lock, so the item of a branch is deleted: few branches are built again, and every
        scan reads the items of free locks, too.
        """
        delete = is_done and is_of_branch(lease.lock_key)
        return self._store.free_lease(lease, report_pending=report_pending, delete=delete) is None

    def holders(self) -> list[Holder]:
        """Every lock and slot that is held or has a pending report."""
        return [holder for holder in self._store.all_holders() if holder.owner or holder.report_pending]

    def abandoned(self, holders: Iterable[Holder]) -> list[Holder]:
        """Stop the builds of ended executions, and return those of ``holders`` whose execution has ended.

        A holder is left out if its build is still running after that. The lock and the slot of an execution share an
        owner and a build, so each owner is asked about only once.
        """
        still_active = self.asking_once()
        return [holder for holder in holders if not still_active(holder)]

    def clear_abandoned(self, holder: Holder) -> None:
        """Free the lock of an abandoned run if it has not changed since; call this once the card shows how it ended."""
        self._store.free_unchanged(holder, report_pending=False)

    def release_owned(
        self,
        owner: str,
        *,
        acquired_before: float = math.inf,
        only: Callable[[str], bool] = lambda _: True,
        report_pending: bool = False,
    ) -> Holder | None:
        """Free everything that ``owner`` holds and return the first item freed; ``None`` if there was none.

        ``only`` selects keys. The clean-up passes ``acquired_before`` (epoch seconds): it frees no lock acquired later,
        and none at all if the owner is running, possibly again. The owner's state is read after the lock, so a lock
        that a redriven execution takes in between has another fence and is not freed.
        """
        freed = []
        for holder in self._store.held_by(owner):
            if holder.acquired_timestamp >= acquired_before or not only(holder.lock_key):
                continue
            build = holder.subject.build_id
            if acquired_before < math.inf and (self._is_running(owner) or self._stop_build_and_check(build)):
                break
            blocking = self._store.free_unchanged(holder, report_pending=report_pending)
            # Already free under the same fence: the answer to our own write was lost and the request was sent again.
            # With `report_pending`, another clean-up of the same execution may have freed it; only that one updates the
            # card, and if it fails, the next run does.
            freed_before = blocking is not None and not blocking.owner and blocking.fence == holder.fence
            if blocking is None or (freed_before and not report_pending):
                freed.append(holder)
        return freed[0] if freed else None

    def read(self, key: str) -> Holder:
        """The current holder of ``key``, read consistently."""
        return self._store.read(key)

    def read_many(self, keys: Sequence[str]) -> list[Holder]:
        """The current holders of ``keys``, at most 100, read consistently and in this order."""
        return self._store.read_many(keys)

    def is_active(self, holder: Holder) -> bool:
        """Whether the owner, the execution with a pending report, or its build may still act.

        The lease's expiry decides only if Step Functions and CodeBuild have no answer.
        """
        return self._is_active(holder, self._is_running, self._build_is_running)

    def still_active_after_stop(self, holder: Holder) -> bool:
        """The same as :meth:`is_active`, after stopping an abandoned build."""
        return self.asking_once()(holder)

    def asking_once(self) -> Callable[[Holder], bool]:
        """A function like :meth:`still_active_after_stop` that asks about each owner and build once.

        Its answers say nothing of an item that was read after the first call: an ended execution may be redriven.
        """
        is_running, build_may_act = cache(self._is_running), cache(self._stop_build_and_check)
        return lambda holder: self._is_active(holder, is_running, build_may_act)

    def stop_build(self, lease: Lease) -> bool:
        """Stop the lock's build if ``lease.owner`` holds the lock, and return whether the build is still running."""
        holder = self.read(lease.lock_key)
        return holder.owner == lease.owner and self._stop_build_and_check(holder.subject.build_id)

    def _is_active(
        self, holder: Holder, is_running: Callable[[str], bool | None], build_may_act: Callable[[str], bool]
    ) -> bool:
        running = is_running(holder.owner or holder.report_pending)
        if running is None:
            return holder.expires_at + _SKEW_SECONDS > self._clock()
        return running or build_may_act(holder.subject.build_id)

    def _build_is_running(self, build: str) -> bool:
        return bool(build and self._is_running(build))

    def _stop_build_and_check(self, build: str) -> bool:
        """Stop the build of an ended execution, and return whether it is still running.

        When an execution ends, Step Functions stops its build only on a best-effort basis, and no other build may start
        before this one has ended.
        """
        if not self._build_is_running(build):
            return False
        if self._stop_build:
            self._stop_build(build)
        return self._build_is_running(build)

    def _require_sole_build(self, lease: Lease, other_build: str) -> None:
        """Raise :class:`LockLost` if the calling build is abandoned, or if ``other_build`` is still running."""
        if self._is_running(lease.owner) is False:
            raise LockLost(
                f"{lease.owner} has ended, so its build may not hold the lock {lease.lock_key} and changed nothing",
                "redrive the execution, or replay the card",
            )
        if other_build and self._is_running(other_build):
            raise LockLost(
                f"the build {other_build} of the same execution is still running under the lock {lease.lock_key}",
                f"aws codebuild stop-build --id {shlex.quote(other_build)}, then redrive the execution",
            )

    def _take(
        self, key: str, owner: str, subject: Subject, *, above: int, expected: Holder | None = None
    ) -> Lease | Holder:
        """Write a new lease (:meth:`LockStore.take`) and return it, or the holder that prevented it."""
        now = self._clock()
        # Epoch milliseconds: even if a person has deleted the item, a fence is above its predecessor, as far as the two
        # writers' clocks agree.
        fence = max(int(now * 1000), above + 1)
        lease = Lease(lock_key=key, owner=owner, fence=fence, expires_at=int(now) + self._lease_seconds)
        return self._store.take(lease, subject, now, expected) or lease

    def _renew(self, lease: Lease, subject: Subject, expected: Holder) -> Lease | Holder:
        """Extend the lease under the fence of ``expected``, or return the holder that prevented it."""
        renewed = replace(lease, fence=expected.fence, expires_at=int(self._clock()) + self._lease_seconds)
        return self._store.renew(renewed, subject, expected) or renewed


def _held_error(holder: Holder, table_name: str) -> LockError:
    kind = LockHeld if holder.lock_key == BASE_KEY else ScopedLockHeld
    until = datetime.fromtimestamp(holder.expires_at, UTC).isoformat(timespec="seconds")
    key = json.dumps({"lockKey": {"S": holder.lock_key}})
    if ":execution:" in holder.owner:
        remedy = f"aws stepfunctions describe-execution --execution-arn {shlex.quote(holder.owner)}"
    elif ":build/" in holder.owner:
        remedy = f"aws codebuild batch-get-builds --ids {shlex.quote(holder.owner)}"
    else:
        remedy = f"aws dynamodb delete-item --table-name {table_name} --key {shlex.quote(key)}"
    return kind(
        f"the lock {holder.lock_key} has been held by {holder.owner or holder.report_pending or 'another execution'}"
        f" since {holder.acquired_at or 'an unknown time'}, with a lease until {until}",
        remedy,
    )
