"""The lock: one item a key in a DynamoDB table, owned by an execution, never stuck longer than until the next run asks
for it.

Acquire is one conditional write and release is one, so a quiet cycle of the two costs two requests. Whoever finds a
holder asks whether that owner still runs: if it has ended the lock is taken over at once, if it runs the lock is its
own, expired or not. Only for an owner that nobody can be asked about does the lease's expiry decide. DynamoDB's TTL
(epoch seconds, deletes within days) collects garbage and decides nothing.

A fence is above every earlier one for as long as the item exists, whatever the writers' clocks say. Whose the lock is
stands in ``owner`` and ``fence`` together and is tested by equality, so nothing is unsafe after a person deleted the
item, when only the clock remembers the last fence.
"""

from __future__ import annotations

import json
import math
import shlex
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from kiro_worker.errors import LockError, LockHeld, LockLost, ScopedLockHeld
from kiro_worker.lock.item import NOBODY, Holder, Subject
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.models import Lease

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient

# Of two writers each clock may be five minutes off: a lease has expired when it has by both.
_SKEW_SECONDS: Final = 600
# How often another may step between a look at the lock and the write that rests on it; more is contention.
_ROUNDS: Final = 4


class LockTable:
    """The table, and who may ask it what.

    ``is_running`` answers for an owner whether that execution or build may still act, or ``None`` when that cannot be
    known (:mod:`kiro_worker.lock.owner`); ``clock`` gives epoch seconds; ``stop_build`` ends a build that its execution
    has left behind.
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
        self._dynamodb = dynamodb
        self._table_name = table_name
        self._lease_seconds = lease_seconds
        self._is_running = is_running
        self._clock = clock
        self._stop_build = stop_build

    def acquire(self, key: str, owner: str, subject: Subject = NOBODY, *, above: int = 0) -> Lease:
        """Take the lock if it is free, already ``owner``'s, or held by one that has ended. It is not free while a run
        that could not tell its card has yet to end.

        The fence is greater than ``above`` and than the one in the item. Raises :class:`LockHeld`
        (:class:`ScopedLockHeld` for a repository's or branch's key) when a live holder has it.
        """
        taken = self._write(key, owner, subject, above=above)
        for _ in range(_ROUNDS):
            if isinstance(taken, Lease):
                return taken
            # One that is free but notes a card is about to end: taken now, that card would be forgotten.
            if (taken.owner or taken.report_pending) not in ("", owner) and self.still_active_after_stop(taken):
                break
            # Dead, or its fence is ahead of our clock: take over exactly what we saw, so that of two who see it one
            # wins.
            taken = self._write(key, owner, subject, above=max(above, taken.fence), seen=taken)
        if isinstance(taken, Lease):
            return taken
        raise self._held(taken)

    def ensure(self, lease: Lease, subject: Subject = NOBODY) -> Lease:
        """Held under ``lease``: go on, and note the build that does. Free: acquire it, under a later fence.

        Raises :class:`LockLost` when it is another's, when another build of the same execution still runs under this
        lease, and when ``lease.owner`` has ended: its build was left behind.
        """
        holder = self.read(lease.lock_key)
        for _ in range(_ROUNDS):
            noted = holder.subject.build_id == subject.build_id
            # Under a later fence too, if it names this very build: our own write, whose answer was lost.
            mine = holder.owner == lease.owner and (holder.fence == lease.fence or (noted and subject.build_id != ""))
            if mine and noted and holder.expires_at > self._clock() + self._lease_seconds / 2:
                return replace(lease, fence=holder.fence, expires_at=int(holder.expires_at))
            if holder.owner and not mine and (holder.owner != lease.owner or holder.fence > lease.fence):
                break
            self._require_sole(lease, holder.subject.build_id if mine and not noted else "")
            # Exactly what we saw: a later attempt of the same execution may be about to take it too.
            above = max(lease.fence, holder.fence)
            taken = (
                self._renew(lease, subject, holder)
                if mine
                else self._write(lease.lock_key, lease.owner, subject, above=above, seen=holder)
            )
            if isinstance(taken, Lease):
                return replace(taken, slot=lease.slot)
            holder = taken
        raise LockLost(
            f"the lock {lease.lock_key} is held by {holder.owner} since {holder.acquired_at or 'an unknown time'}",
            "nothing was touched; replay the card when that execution has ended",
        )

    def release(self, lease: Lease, *, report_pending: bool = False) -> bool:
        """Free the lock if it is held under this lease; whether it was. Safe to repeat. ``report_pending`` notes that the card
        does not know yet how the run ended.
        """
        values = {":owner": {"S": lease.owner}, ":fence": {"N": str(lease.fence)}}
        return (
            self._free(lease.lock_key, "#owner = :owner AND fence = :fence", values, report_pending=report_pending)
            is None
        )

    def abandoned(self) -> list[Holder]:
        """What executions that have ended left behind: a lock that they hold, or a card that they could not tell. A
        build that they left behind is told to stop, and is waited for.
        """
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table_name, ConsistentRead=True)
        holders = [Holder.from_item(item) for page in pages for item in page["Items"]]
        return [
            holder
            for holder in holders
            if (holder.owner or holder.report_pending) and not self.still_active_after_stop(holder)
        ]

    def clear_abandoned(self, holder: Holder) -> None:
        """Free what ``holder`` left behind, if it still is as it was seen: its card has been told."""
        values: dict[str, Any] = {}
        self._update(holder.lock_key, "REMOVE #owner, buildId, reportPending", holder.unchanged(values), values)

    def release_owned(
        self,
        owner: str,
        *,
        acquired_before: float = math.inf,
        only: Callable[[str], bool] = lambda _: True,
        report_pending: bool = False,
    ) -> Holder | None:
        """Free whatever ``owner`` holds and return the first of it; ``None`` when it holds nothing.

        ``only`` is asked about each key. ``acquired_before`` (epoch seconds, the clean-up) spares a lock that was taken
        after that moment, and every lock of an owner that runs, again or still: asked after the lock was read, so that
        what a redriven execution takes in between has another fence and is not freed. The table has one item a lock
        key, a handful, so a scan reads it whole in one request.
        """
        freed = []
        for holder in self._held_by(owner):
            if holder.acquired_instant >= acquired_before or not only(holder.lock_key):
                continue
            if acquired_before < math.inf and (self._is_running(owner) or self._stop_build_and_check(holder)):
                break
            values: dict[str, Any] = {}
            found = self._free(holder.lock_key, holder.unchanged(values), values, report_pending=report_pending)
            # Free under the same fence: our own write, sent twice because its answer was lost. Or that of another
            # clean-up after the same end, which then tells the card, as only one may; if nobody does, the next run
            # tells it.
            if found is None or (not report_pending and not found.owner and found.fence == holder.fence):
                freed.append(holder)
        return freed[0] if freed else None

    def read(self, key: str) -> Holder:
        """The lock as it stands, read consistently."""
        item = self._dynamodb.get_item(
            TableName=self._table_name, Key={"lockKey": {"S": key}}, ConsistentRead=True
        ).get("Item")
        return Holder.from_item(item) if item else Holder(key)

    def is_active(self, holder: Holder) -> bool:
        """Whether the owner, or who freed it report_pending, or its build may still act. The lease says so only where nobody
        else can.
        """
        return self._is_active(holder, self._build_works)

    def still_active_after_stop(self, holder: Holder) -> bool:
        """The same, and a build that its execution has left behind is told to stop first."""
        return self._is_active(holder, self._stop_build_and_check)

    def stop_build(self, lease: Lease) -> bool:
        """Stop the build that works under the lock of ``lease.owner``, who has given it up; whether it works all the
        same. Another's is left alone.
        """
        holder = self.read(lease.lock_key)
        return holder.owner == lease.owner and self._stop_build_and_check(holder)

    def _is_active(self, holder: Holder, build_may: Callable[[Holder], bool]) -> bool:
        running = self._is_running(holder.owner or holder.report_pending)
        if running is None:
            return holder.expires_at + _SKEW_SECONDS > self._clock()
        return running or build_may(holder)

    def _build_works(self, holder: Holder) -> bool:
        return bool(holder.subject.build_id and self._is_running(holder.subject.build_id))

    def _stop_build_and_check(self, holder: Holder) -> bool:
        """Tell the build under the lock to stop: that the end of its execution does is best effort. Until it is over
        nobody else may build.
        """
        if not self._build_works(holder):
            return False
        if self._stop_build:
            self._stop_build(holder.subject.build_id)
        return self._build_works(holder)

    def _require_sole(self, lease: Lease, other_build: str) -> None:
        """Raises :class:`LockLost` when the build that asks was left behind by its execution, or has a double."""
        if self._is_running(lease.owner) is False:
            raise LockLost(
                f"{lease.owner} has ended, and its build may not hold the lock {lease.lock_key}",
                "nothing was touched; redrive the execution, or replay the card",
            )
        if other_build and self._is_running(other_build):
            raise LockLost(
                f"the build {other_build} of the same execution still runs under the lock {lease.lock_key}",
                f"aws codebuild stop-build --id {shlex.quote(other_build)}, then redrive the execution",
            )

    def _write(
        self, key: str, owner: str, subject: Subject, *, above: int, seen: Holder | None = None
    ) -> Lease | Holder:
        """One conditional write: the lease when it took place, the holder that stood in the way otherwise.

        Without ``seen`` it goes through when the lock is free or ``owner``'s already, which makes the step safe to run
        twice when an answer was lost. With ``seen`` it goes through when owner, fence and build are still as seen.
        """
        now = self._clock()
        # Epoch milliseconds, so that a fence is above its predecessor's even when the item was deleted in between,
        # as far as the two writers' clocks agree.
        fence = max(int(now * 1000), above + 1)
        expires_at = int(now) + self._lease_seconds
        values: dict[str, Any] = {
            ":owner": {"S": owner},
            ":fence": {"N": str(fence)},
            ":at": {"S": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")},
            ":expires": {"N": str(expires_at)},
            ":item": {"S": subject.work_item_id},
            ":repository": {"S": subject.repository},
            ":branch": {"S": subject.branch},
            ":build": {"S": subject.build_id},
        }
        condition = (
            "(attribute_not_exists(#owner) OR #owner = :owner) AND (attribute_not_exists(reportPending) OR reportPending = :owner)"
            " AND (attribute_not_exists(fence) OR fence < :fence)"
            if seen is None
            else seen.unchanged(values)
        )
        found = self._update(
            key,
            "SET #owner = :owner, fence = :fence, acquiredAt = :at, expiresAt = :expires,"
            " workItemId = :item, repository = :repository, branch = :branch, buildId = :build REMOVE reportPending",
            condition,
            values,
        )
        return found or Lease(lock_key=key, owner=owner, fence=fence, expires_at=expires_at)

    def _renew(self, lease: Lease, subject: Subject, seen: Holder) -> Lease | Holder:
        """Note the build and a later expiry, under the same fence; the holder that stood in the way otherwise."""
        expires_at = int(self._clock()) + self._lease_seconds
        values: dict[str, Any] = {":expires": {"N": str(expires_at)}, ":build": {"S": subject.build_id}}
        condition = seen.unchanged(values)
        found = self._update(lease.lock_key, "SET expiresAt = :expires, buildId = :build", condition, values)
        return found or replace(lease, fence=seen.fence, expires_at=expires_at)

    def _free(self, key: str, condition: str, values: dict[str, Any], *, report_pending: bool) -> Holder | None:
        update = (
            "SET reportPending = #owner REMOVE #owner, buildId"
            if report_pending
            else "REMOVE #owner, buildId, reportPending"
        )
        return self._update(key, update, condition, values)

    def _update(self, key: str, update: str, condition: str, values: dict[str, Any]) -> Holder | None:
        """``None`` when the write took place, otherwise what stood in the way."""
        request: dict[str, Any] = {
            "TableName": self._table_name,
            "Key": {"lockKey": {"S": key}},
            "UpdateExpression": update,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {"#owner": "owner"},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if values:
            request["ExpressionAttributeValues"] = values
        try:
            self._dynamodb.update_item(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            # Not every server sends the item along; DynamoDB does, at no cost.
            item: Any = error.response.get("Item")
            return Holder.from_item(item) if item else self.read(key)
        return None

    def _held_by(self, owner: str) -> list[Holder]:
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._table_name,
            ConsistentRead=True,
            FilterExpression="#owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": {"S": owner}},
        )
        return [Holder.from_item(item) for page in pages for item in page["Items"]]

    def _held(self, holder: Holder) -> LockError:
        kind = LockHeld if holder.lock_key == BASE_KEY else ScopedLockHeld
        until = datetime.fromtimestamp(holder.expires_at, UTC).isoformat(timespec="seconds")
        key = json.dumps({"lockKey": {"S": holder.lock_key}})
        if ":execution:" in holder.owner:
            remedy = f"aws stepfunctions describe-execution --execution-arn {shlex.quote(holder.owner)}"
        elif ":build/" in holder.owner:
            remedy = f"aws codebuild batch-get-builds --ids {shlex.quote(holder.owner)}"
        else:
            remedy = f"aws dynamodb delete-item --table-name {self._table_name} --key {shlex.quote(key)}"
        return kind(
            f"the lock {holder.lock_key} is held by {holder.owner or holder.report_pending or 'another execution'}"
            f" since {holder.acquired_at}, with a lease until {until}",
            remedy,
        )
