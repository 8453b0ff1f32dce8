"""The lock's requests to DynamoDB: consistent reads, and one conditional write per change.

Every write returns ``None`` on success, or the current holder if its item did not meet the condition.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from kiro_worker.lock.item import Holder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from kiro_worker.lock.item import Subject
    from kiro_worker.models import Lease

# DynamoDB leaves keys out of a batch if it is too busy. AWS recommends waiting before asking for them again.
_SECONDS_BEFORE_REPEATS: Final = (0.1, 0.3)


class LockStore:
    """The items of the lock table."""

    def __init__(self, dynamodb: DynamoDBClient, table_name: str) -> None:
        self._dynamodb = dynamodb
        self.table_name = table_name

    def read(self, key: str) -> Holder:
        """The current holder of ``key``."""
        item = self._dynamodb.get_item(TableName=self.table_name, Key={"lockKey": {"S": key}}, ConsistentRead=True).get(
            "Item"
        )
        return Holder.from_item(item) if item else Holder(key)

    def read_many(self, keys: Sequence[str]) -> list[Holder]:
        """The current holders of ``keys``, which are at most 100, in this order. One request, unless DynamoDB is busy.

        Keys that DynamoDB leaves out of its answers are read one by one in the end, so that its error is raised.
        """
        holders: dict[str, Holder] = {}
        unread: Any = {
            self.table_name: {"Keys": [{"lockKey": {"S": key}} for key in dict.fromkeys(keys)], "ConsistentRead": True}
        }
        for seconds in (0, *_SECONDS_BEFORE_REPEATS):
            time.sleep(seconds)
            answer = self._dynamodb.batch_get_item(RequestItems=unread)
            for item in answer["Responses"].get(self.table_name, []):
                holder = Holder.from_item(item)
                holders[holder.lock_key] = holder
            unread = answer.get("UnprocessedKeys")
            if not unread:
                return [holders.get(key) or Holder(key) for key in keys]
        for key in unread[self.table_name]["Keys"]:
            holders[key["lockKey"]["S"]] = self.read(key["lockKey"]["S"])
        return [holders.get(key) or Holder(key) for key in keys]

    def all_holders(self) -> list[Holder]:
        """Every lock that has an owner or a pending report.

        Other items are only read, at one request per megabyte: those of locks that runs without success have freed.
        """
        return self._scan(
            FilterExpression="attribute_exists(#owner) OR attribute_exists(reportPending)",
            ExpressionAttributeNames={"#owner": "owner"},
        )

    def held_by(self, owner: str) -> list[Holder]:
        """The items that ``owner`` holds."""
        return self._scan(
            FilterExpression="#owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": {"S": owner}},
        )

    def take(self, lease: Lease, subject: Subject, acquired_at: float, expected: Holder | None = None) -> Holder | None:
        """Write ``lease`` into its item.

        Without ``expected``, the lock must be free or already belong to ``lease.owner``, so that a step whose answer
        was lost can run again. With ``expected``, owner, fence and build must still be the same as in that holder.
        """
        at = datetime.fromtimestamp(acquired_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values: dict[str, Any] = {
            ":owner": {"S": lease.owner},
            ":fence": {"N": str(lease.fence)},
            ":at": {"S": at},
            ":expires": {"N": str(lease.expires_at)},
            ":item": {"S": subject.work_item_id},
            ":repository": {"S": subject.repository},
            ":branch": {"S": subject.branch},
            ":build": {"S": subject.build_id},
        }
        free_or_own = (
            "(attribute_not_exists(#owner) OR #owner = :owner)"
            " AND (attribute_not_exists(reportPending) OR reportPending = :owner)"
            " AND (attribute_not_exists(fence) OR fence < :fence)"
        )
        return self._update(
            lease.lock_key,
            "SET #owner = :owner, fence = :fence, acquiredAt = :at, expiresAt = :expires,"
            " workItemId = :item, repository = :repository, branch = :branch, buildId = :build REMOVE reportPending",
            free_or_own if expected is None else expected.unchanged_condition(values),
            values,
        )

    def renew(self, lease: Lease, subject: Subject, expected: Holder) -> Holder | None:
        """Write the build and the lease's expiry under the same fence, if the holder is still ``expected``."""
        values: dict[str, Any] = {":expires": {"N": str(lease.expires_at)}, ":build": {"S": subject.build_id}}
        condition = expected.unchanged_condition(values)
        return self._update(lease.lock_key, "SET expiresAt = :expires, buildId = :build", condition, values)

    def free_lease(self, lease: Lease, *, report_pending: bool, delete: bool) -> Holder | None:
        """Free the lock if it is held under ``lease``, or if only the report of ``lease`` was pending until now.

        With ``delete``, the item is deleted, so that the fence after it depends on the clock alone.
        """
        values = {":owner": {"S": lease.owner}, ":fence": {"N": str(lease.fence)}}
        condition = "#owner = :owner AND fence = :fence"
        if not report_pending:
            condition = f"({condition}) OR ({condition.replace('#owner', 'reportPending')})"
        if delete:
            return self._send(self._dynamodb.delete_item, lease.lock_key, condition, values)
        return self._free(lease.lock_key, condition, values, report_pending=report_pending)

    def free_unchanged(self, expected: Holder, *, report_pending: bool) -> Holder | None:
        """Free the lock if its holder is still ``expected``."""
        values: dict[str, Any] = {}
        condition = expected.unchanged_condition(values)
        return self._free(expected.lock_key, condition, values, report_pending=report_pending)

    def _free(self, key: str, condition: str, values: Mapping[str, Any], *, report_pending: bool) -> Holder | None:
        update = (
            "SET reportPending = #owner REMOVE #owner, buildId"
            if report_pending
            else "REMOVE #owner, buildId, reportPending"
        )
        return self._update(key, update, condition, values)

    def _update(self, key: str, update: str, condition: str, values: Mapping[str, Any]) -> Holder | None:
        return self._send(self._dynamodb.update_item, key, condition, values, UpdateExpression=update)

    def _send(
        self, write: Callable[..., Any], key: str, condition: str, values: Mapping[str, Any], **change: str
    ) -> Holder | None:
        request: dict[str, Any] = {
            "TableName": self.table_name,
            "Key": {"lockKey": {"S": key}},
            "ConditionExpression": condition,
            **change,
            "ExpressionAttributeNames": {"#owner": "owner"},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if values:  # DynamoDB rejects an empty map
            request["ExpressionAttributeValues"] = values
        try:
            write(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            # DynamoDB returns the item with the error, at no cost; other servers may not.
            item: Any = error.response.get("Item")
            return Holder.from_item(item) if item else self.read(key)
        return None

    def _scan(self, **request: Any) -> list[Holder]:
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self.table_name, ConsistentRead=True, **request)
        return [Holder.from_item(item) for page in pages for item in page["Items"]]
