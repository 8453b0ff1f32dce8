"""The lock: one item a key in a DynamoDB table, owned by an execution, never stuck longer than until the next run asks
for it.

Acquire is one conditional write and release is one, so a quiet cycle costs two requests. Whoever finds a holder asks
Step Functions whether that execution still runs; if it has ended, the lock is taken over at once. The lease's expiry
is only the last resort, and DynamoDB's TTL (epoch seconds, deletes within days) only collects garbage: every condition
tests the expiry itself.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from kiro_worker.errors import LockError, LockHeld, LockLost, ScopedLockHeld
from kiro_worker.models import BuildResult, Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_stepfunctions import SFNClient

    from kiro_worker.config import Configuration
    from kiro_worker.models import StepEvent

BASE_KEY: Final = "work-item-processor-lock"
_ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})

# Seconds above this are milliseconds: the original system wrote those into expiresAt. 10^11 seconds is the year 5138.
_MILLISECONDS_FROM: Final = 10**11


def lock_key(configuration: Configuration, repository: str, branch: str) -> str:
    """The key that a card locks, by ``lockScope``."""
    match configuration.lock_scope:
        case "environment":
            return BASE_KEY
        case "repository":
            return f"{BASE_KEY}#{repository}"
        case "branch":
            return f"{BASE_KEY}#{repository}#{branch}"


@dataclass(frozen=True)
class Subject:
    """What the holder works on: attributes for people who look at the item."""

    work_item_id: str = ""
    repository: str = ""
    branch: str = ""
    build_id: str = ""


NOBODY: Final = Subject()


@dataclass(frozen=True)
class Holder:
    """The lock item as it stands. ``owner`` is empty when the lock is free, ``expires_at`` is epoch seconds."""

    lock_key: str
    owner: str
    fence: int
    expires_at: float
    acquired_at: str
    subject: Subject
    item: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Holder:
        """Of an item in DynamoDB's own JSON; tolerates items that people or the original system wrote."""

        def text(name: str) -> str:
            return str(item.get(name, {}).get("S", ""))

        def number(name: str) -> float:
            try:
                return float(item.get(name, {}).get("N", 0))
            except ValueError:
                return 0

        expires_at = number("expiresAt")
        return cls(
            lock_key=text("lockKey"),
            owner=text("owner"),
            fence=int(number("fence")),
            expires_at=expires_at / 1000 if expires_at > _MILLISECONDS_FROM else expires_at,
            acquired_at=text("acquiredAt"),
            subject=Subject(text("workItemId"), text("repository"), text("branch"), text("buildId")),
            item=item,
        )


class LockTable:
    """The table, and who may ask it what.

    ``is_running`` answers for an owner whether that execution or build may still act; ``clock`` gives epoch seconds.
    """

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        table_name: str,
        lease_seconds: int,
        is_running: Callable[[str], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._dynamodb = dynamodb
        self._table_name = table_name
        self._lease_seconds = lease_seconds
        self._is_running = is_running
        self._clock = clock

    def acquire(self, key: str, owner: str, subject: Subject = NOBODY, *, above: int = 0) -> Lease:
        """Take the lock if it is free, expired, already ``owner``'s, or held by an execution that has ended.

        The fence is greater than ``above`` and than the one in the item. Raises :class:`LockHeld`
        (:class:`ScopedLockHeld` for a repository's or branch's key) when a live holder has it.
        """
        taken = self._write(key, owner, subject, above=above)
        if isinstance(taken, Lease):
            return taken
        holder = taken
        if (
            holder.owner
            and holder.owner != owner
            and holder.expires_at > self._clock()
            and self._is_running(holder.owner)
        ):
            raise self._held(holder)
        # Dead, or its fence is ahead of our clock: take over exactly what we saw, so that of two who see it one wins.
        taken = self._write(key, owner, subject, above=max(above, holder.fence), seen=holder)
        if isinstance(taken, Lease):
            return taken
        raise self._held(taken)

    def ensure(self, lease: Lease, subject: Subject = NOBODY) -> Lease:
        """Held by ``lease.owner`` with ``lease.fence``: go on. Free: acquire it, under a later fence. Another's:
        :class:`LockLost`.
        """
        holder = self.read(lease.lock_key)
        if holder and holder.owner == lease.owner and holder.fence == lease.fence and holder.expires_at > self._clock():
            return replace(lease, expires_at=int(holder.expires_at))
        if holder and holder.owner and (holder.owner != lease.owner or holder.fence > lease.fence):
            raise LockLost(
                f"the lock {lease.lock_key} is held by {holder.owner} since {holder.acquired_at or 'an unknown time'}",
                "nothing was touched; replay the card when that execution has ended",
            )
        try:
            return self.acquire(lease.lock_key, lease.owner, subject, above=lease.fence)
        except LockError as error:
            raise LockLost(error.what, error.remedy) from None

    def release(self, lease: Lease) -> bool:
        """Free the lock if it is held under this lease; whether it was. Safe to repeat."""
        return self._free(lease.lock_key, lease.owner, lease.fence)

    def release_owned(self, owner: str, *, acquired_before: float = math.inf) -> Holder | None:
        """Free the lock that ``owner`` holds, whichever it is, and return it; ``None`` when it holds none.

        ``acquired_before`` (epoch seconds) spares a lock that the owner, redriven meanwhile, took after that moment.
        The table has one item a lock key, a handful, so a scan reads it whole in one request.
        """
        for holder in self._held_by(owner):
            if _instant(holder.acquired_at) >= acquired_before:
                continue
            if self._free(holder.lock_key, owner, holder.fence):
                return holder
        return None

    def read(self, key: str) -> Holder | None:
        """The lock's item, read consistently."""
        item = self._dynamodb.get_item(
            TableName=self._table_name, Key={"lockKey": {"S": key}}, ConsistentRead=True
        ).get("Item")
        return Holder.from_item(item) if item else None

    def _write(
        self, key: str, owner: str, subject: Subject, *, above: int, seen: Holder | None = None
    ) -> Lease | Holder:
        """One conditional write: the lease when it took place, the holder that stood in the way otherwise.

        Without ``seen`` it goes through when the lock is free, expired or ``owner``'s already, which makes the step
        safe to run twice when an answer was lost. With ``seen`` it goes through when owner and fence are still as seen.
        """
        now = self._clock()
        # Epoch milliseconds, so that a fence is above its predecessor's even when the item was deleted in between.
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
        if seen is None:
            condition = (
                "(attribute_not_exists(#owner) OR #owner = :owner OR expiresAt < :now)"
                " AND (attribute_not_exists(fence) OR fence < :fence)"
            )
            values[":now"] = {"N": str(int(now))}
        else:
            same_owner = _unchanged("#owner", ":seenOwner", seen, values)
            condition = f"{same_owner} AND {_unchanged('fence', ':seenFence', seen, values)}"
        try:
            self._dynamodb.update_item(
                TableName=self._table_name,
                Key={"lockKey": {"S": key}},
                UpdateExpression=(
                    "SET #owner = :owner, fence = :fence, acquiredAt = :at, expiresAt = :expires,"
                    " workItemId = :item, repository = :repository, branch = :branch, buildId = :build"
                ),
                ConditionExpression=condition,
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues=values,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            # Not every server sends the item along; DynamoDB does, at no cost.
            item: Any = error.response.get("Item")
            found = Holder.from_item(item) if item else self.read(key)
            return found or Holder(key, "", 0, 0, "", Subject())
        return Lease(lock_key=key, owner=owner, fence=fence, expires_at=expires_at)

    def _free(self, key: str, owner: str, fence: int) -> bool:
        try:
            self._dynamodb.update_item(
                TableName=self._table_name,
                Key={"lockKey": {"S": key}},
                UpdateExpression="REMOVE #owner, buildId",
                ConditionExpression="#owner = :owner AND fence = :fence",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": {"S": owner}, ":fence": {"N": str(fence)}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

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
        return kind(
            f"the lock {holder.lock_key} is held by {holder.owner or 'another execution'} since {holder.acquired_at},"
            f" at the latest until {until}",
            f"aws stepfunctions describe-execution --execution-arn {holder.owner}"
            if ":execution:" in holder.owner
            else "",
        )


def execution_is_running(sfn: SFNClient) -> Callable[[str], bool]:
    """Answers whether the owner of a lock may still act: an execution that is not known, or has ended, may not.

    An owner that is no execution (a build started by hand) counts as running until its lease expires.
    """

    def is_running(owner: str) -> bool:
        if ":execution:" not in owner:
            return True
        try:
            return sfn.describe_execution(executionArn=owner)["status"] not in _ENDED
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ExecutionDoesNotExist", "InvalidArn"):
                return False
            raise

    return is_running


def release(locks: LockTable, event: StepEvent, *, running: bool) -> dict[str, str] | None:
    """Free the lock that ``event``'s execution holds, and say what it named; ``None`` when there was nothing to free.

    With a ``lease`` in the document it is exactly that one, or the one that the build took when it found the lock
    gone. Without one (the answer of AcquireLock was lost) it is whatever the execution holds. With ``endedAt`` (epoch
    milliseconds, the clean-up) the execution must have ended, and the lock must have been taken before that moment: an
    execution redriven meanwhile holds its own.
    """
    document = event.document
    if "endedAt" in document:
        if running:
            return None
        return _named(locks.release_owned(event.execution_arn, acquired_before=document["endedAt"] / 1000))
    if "lease" not in document:
        return _named(locks.release_owned(event.execution_arn))
    lease = Lease.from_dict(document["lease"])
    for fence in (_fence_of_build(document), lease.fence):
        if fence and locks.release(replace(lease, fence=fence)):
            return {"lockKey": lease.lock_key}
    return None


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


def _unchanged(name: str, placeholder: str, seen: Holder, values: dict[str, Any]) -> str:
    """The condition that an attribute still is what was seen, whatever type a person's edit gave it."""
    attribute = seen.item.get(name.lstrip("#"))
    if attribute is None:
        return f"attribute_not_exists({name})"
    values[placeholder] = attribute
    return f"{name} = {placeholder}"


def _instant(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
