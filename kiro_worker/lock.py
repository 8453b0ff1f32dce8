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
from kiro_worker.lock_item import NOBODY, Holder, Subject
from kiro_worker.models import BuildResult, Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from kiro_worker.config import Configuration
    from kiro_worker.models import StepEvent

BASE_KEY: Final = "work-item-processor-lock"

# Of two writers each clock may be five minutes off: a lease has expired when it has by both.
_SKEW_SECONDS: Final = 600
# How often another may step between a look at the lock and the write that rests on it; more is contention.
_ROUNDS: Final = 4


def lock_key(configuration: Configuration, repository: str, branch: str) -> str:
    """The key that a card locks, by ``lockScope``."""
    match configuration.lock_scope:
        case "environment":
            return BASE_KEY
        case "repository":
            return f"{BASE_KEY}#{repository}"
        case "branch":
            return f"{BASE_KEY}#{repository}#{branch}"


class LockTable:
    """The table, and who may ask it what.

    ``is_running`` answers for an owner whether that execution or build may still act, or ``None`` when that cannot be
    known (:mod:`kiro_worker.lock_owner`); ``clock`` gives epoch seconds; ``stop_build`` ends a build that its execution
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
            if (taken.owner or taken.untold) not in ("", owner) and self.may_act(taken):
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

    def release(self, lease: Lease, *, untold: bool = False) -> bool:
        """Free the lock if it is held under this lease; whether it was. Safe to repeat. ``untold`` notes that the card
        does not know yet how the run ended.
        """
        values = {":owner": {"S": lease.owner}, ":fence": {"N": str(lease.fence)}}
        return self._free(lease.lock_key, "#owner = :owner AND fence = :fence", values, untold=untold) is None

    def abandoned(self) -> list[Holder]:
        """What executions that have ended left behind: a lock that they hold, or a card that they could not tell."""
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self._table_name, ConsistentRead=True)
        holders = [Holder.from_item(item) for page in pages for item in page["Items"]]
        return [holder for holder in holders if (holder.owner or holder.untold) and not self.may_act(holder)]

    def settle(self, holder: Holder) -> None:
        """Free what ``holder`` left behind, if it still is as it was seen: its card has been told."""
        values: dict[str, Any] = {}
        self._update(holder.lock_key, "REMOVE #owner, buildId, untold", holder.unchanged(values), values)

    def release_owned(
        self,
        owner: str,
        *,
        acquired_before: float = math.inf,
        only: Callable[[Holder], bool] = lambda _: True,
        untold: bool = False,
    ) -> Holder | None:
        """Free whatever ``owner`` holds and return the first of it; ``None`` when it holds nothing.

        ``acquired_before`` (epoch seconds, the clean-up) spares a lock that was taken after that moment, and every
        lock of an owner that runs, again or still: asked after the lock was read, so that what a redriven execution
        takes in between has another fence and is not freed. The table has one item a lock key, a handful, so a scan
        reads it whole in one request.
        """
        freed = []
        for holder in self._held_by(owner):
            if holder.acquired_instant >= acquired_before or not only(holder):
                continue
            if acquired_before < math.inf and (self._is_running(owner) or self._build_runs_on(holder)):
                break
            values: dict[str, Any] = {}
            found = self._free(holder.lock_key, holder.unchanged(values), values, untold=untold)
            # Free under the same fence: our own write, sent twice because its answer was lost. Or that of another
            # clean-up after the same end, which then tells the card, as only one may; if nobody does, the next run
            # tells it.
            if found is None or (not untold and not found.owner and found.fence == holder.fence):
                freed.append(holder)
        return freed[0] if freed else None

    def read(self, key: str) -> Holder:
        """The lock as it stands, read consistently."""
        item = self._dynamodb.get_item(
            TableName=self._table_name, Key={"lockKey": {"S": key}}, ConsistentRead=True
        ).get("Item")
        return Holder.from_item(item) if item else Holder(key)

    def build_runs_on(self, lease: Lease) -> bool:
        """Whether a build works under the lock of ``lease.owner``, who has given it up. Another's is left alone."""
        holder = self.read(lease.lock_key)
        return holder.owner == lease.owner and self._build_runs_on(holder)

    def may_act(self, holder: Holder) -> bool:
        """Whether the owner, or who freed it untold, may still act. Its lease says so only where nobody else can."""
        running = self._is_running(holder.owner or holder.untold)
        if running is None:
            return holder.expires_at + _SKEW_SECONDS > self._clock()
        return running or self._build_runs_on(holder)

    def _build_runs_on(self, holder: Holder) -> bool:
        """Whether the build under the lock outlives its execution, though it was told to stop: that an abort stops it
        is best effort. Until it is over nobody else may build.
        """
        build = holder.subject.build_id
        if not build or not self._is_running(build):
            return False
        if self._stop_build:
            self._stop_build(build)
        return bool(self._is_running(build))

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
            "(attribute_not_exists(#owner) OR #owner = :owner) AND (attribute_not_exists(untold) OR untold = :owner)"
            " AND (attribute_not_exists(fence) OR fence < :fence)"
            if seen is None
            else seen.unchanged(values)
        )
        found = self._update(
            key,
            "SET #owner = :owner, fence = :fence, acquiredAt = :at, expiresAt = :expires,"
            " workItemId = :item, repository = :repository, branch = :branch, buildId = :build REMOVE untold",
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

    def _free(self, key: str, condition: str, values: dict[str, Any], *, untold: bool) -> Holder | None:
        update = "SET untold = #owner REMOVE #owner, buildId" if untold else "REMOVE #owner, buildId, untold"
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
            f"the lock {holder.lock_key} is held by {holder.owner or holder.untold or 'another execution'}"
            f" since {holder.acquired_at}, with a lease until {until}",
            remedy,
        )


def release(locks: LockTable, event: StepEvent) -> dict[str, str] | None:
    """Free the lock that ``event``'s execution holds, and say what it named; ``None`` when there was nothing to free.

    With a ``lease`` in the document it is exactly that one, or the one that the build took when it found the lock
    gone. Without one (the answer of AcquireLock was lost) it is whatever the execution holds. With ``untold`` (the
    card could not be moved) the lock remembers it, for the next run to tell. With ``endedAt`` (epoch
    milliseconds, the clean-up) the execution must have ended, and the lock must have been taken before that moment: an
    execution redriven meanwhile holds its own.
    """
    document = event.document
    if "endedAt" in document:
        # The card is told next, and should that fail it is not forgotten.
        before = document["endedAt"] / 1000
        return _named(locks.release_owned(event.execution_arn, acquired_before=before, untold=True))
    if "lease" not in document:
        return _named(locks.release_owned(event.execution_arn))
    lease = Lease.from_dict(document["lease"])
    if outlived(locks, document):
        # Whoever asks for the lock next asks for the build.
        return None
    for fence in (_fence_of_build(document), lease.fence):
        if fence and locks.release(replace(lease, fence=fence), untold=document.get("untold", False)):
            return {"lockKey": lease.lock_key}
    return None


def outlived(locks: LockTable, document: Mapping[str, Any]) -> bool:
    """Whether the build runs on although RunBuild has given it up: the start's answer was lost, or the state's time was
    up. It is told to stop.
    """
    given_up = document.get("failure", {}).get("state") == "RunBuild"
    return given_up and locks.build_runs_on(Lease.from_dict(document["lease"]))


def _fence_of_build(document: Mapping[str, Any]) -> int:
    if "build" in document and (fence := BuildResult.from_document(document["build"]).fence):
        return fence
    build = BuildResult.from_cause(document.get("failure", {}).get("cause", ""))
    return build.fence if build else 0


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
