"""The table of records: consistent reads by key, and updates that can be repeated."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_DAYS: Final = 90
"""How long a record is kept after its last update. Step Functions keeps an execution for as long."""


class RecordsTable:
    """The records in the table ``table_name``, whose key is ``recordKey``. ``clock`` returns epoch seconds.

    Items are DynamoDB JSON. Every method raises botocore's :class:`~botocore.exceptions.ClientError`.
    """

    def __init__(self, dynamodb: DynamoDBClient, table_name: str, clock: Callable[[], float] = time.time) -> None:
        self.name = table_name
        self._dynamodb = dynamodb
        self._clock = clock

    def read(self, key: str) -> Mapping[str, Any]:
        """The item with this key; empty if there is none."""
        answer = self._dynamodb.get_item(TableName=self.name, Key={"recordKey": {"S": key}}, ConsistentRead=True)
        return answer.get("Item", {})

    def update(self, key: str, values: Mapping[str, str], *, add: Mapping[str, str] | None = None) -> None:
        """Set the attributes ``values``, and add a string to each of the sets in ``add``; create a missing item."""
        names, parameters = {"#expires": "expiresAt"}, {":expires": {"N": str(self._expiry())}}
        for number, (name, value) in enumerate([*values.items(), *(add or {}).items()]):
            names[f"#{number}"] = name
            parameters[f":{number}"] = {"S": value} if number < len(values) else {"SS": [value]}  # type: ignore[dict-item]
        assignments = ["#expires = :expires", *(f"#{number} = :{number}" for number in range(len(values)))]
        additions = [f"#{number} :{number}" for number in range(len(values), len(names) - 1)]
        self._dynamodb.update_item(
            TableName=self.name,
            Key={"recordKey": {"S": key}},
            UpdateExpression=f"SET {', '.join(assignments)}" + (f" ADD {', '.join(additions)}" if additions else ""),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=parameters,
        )

    def claim(self, key: str, name: str, value: str) -> bool:
        """Set the attribute ``name`` to ``value`` unless it has another value; return whether it has ``value`` now.

        The same claim succeeds again, so a step whose answer was lost can be repeated.
        """
        try:
            self._dynamodb.update_item(
                TableName=self.name,
                Key={"recordKey": {"S": key}},
                UpdateExpression="SET #name = :value, #expires = :expires",
                ConditionExpression="attribute_not_exists(#name) OR #name = :value",
                ExpressionAttributeNames={"#name": name, "#expires": "expiresAt"},
                ExpressionAttributeValues={":value": {"S": value}, ":expires": {"N": str(self._expiry())}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _expiry(self) -> int:
        return int(self._clock()) + KEPT_DAYS * 24 * 3600


def text(item: Mapping[str, Any], name: str) -> str:
    """The string in the attribute ``name``; empty if it is missing or has another type."""
    return str(item.get(name, {}).get("S", ""))
