"""The records table: consistent reads by key, and updates that can be repeated."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_DAYS: Final = 90
"""How long a record is kept after its last update. Step Functions keeps an execution for as long."""
_PAUSES: Final = (0.0, 0.05, 0.1, 0.2)
"""In seconds, before each request for the records that DynamoDB left out of its answers so far."""


class RecordsTable:
    """The records in the table ``table_name``, whose key is ``recordKey``. ``clock`` returns epoch seconds.

    Items are DynamoDB JSON. Every method raises botocore's :class:`~botocore.exceptions.ClientError`.
    """

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        table_name: str,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = table_name
        self._dynamodb = dynamodb
        self._clock = clock
        self._sleep = sleep

    def read(self, key: str) -> Mapping[str, Any]:
        """The item with this key; empty if there is none."""
        answer = self._dynamodb.get_item(TableName=self.name, Key={"recordKey": {"S": key}}, ConsistentRead=True)
        return answer.get("Item", {})

    def read_many(self, keys: Collection[str], *, consistent: bool = False) -> dict[str, Mapping[str, Any]]:
        """The items with these keys, at most 100, by key; only an item that does not exist is missing.

        Without ``consistent``, an item can be as it was a moment ago. What DynamoDB leaves out, under load or because
        its answer would be too large, is asked for again, and in the end read one by one.
        """
        wanted = [{"recordKey": {"S": key}} for key in dict.fromkeys(keys)]
        found: dict[str, Mapping[str, Any]] = {}
        for pause in _PAUSES:
            if not wanted:
                return found
            if pause:
                self._sleep(pause)
            request: Any = {self.name: {"Keys": wanted, "ConsistentRead": consistent}}
            answer: Any = self._dynamodb.batch_get_item(RequestItems=request)
            found |= {text(item, "recordKey"): item for item in answer["Responses"].get(self.name, [])}
            wanted = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
        singly = {text(key, "recordKey"): self.read(text(key, "recordKey")) for key in wanted}
        return found | {key: item for key, item in singly.items() if item}

    def update(self, key: str, values: Mapping[str, str | Decimal], *, add: Mapping[str, str] | None = None) -> None:
        """Set the attributes ``values``, and add a string to each of the sets in ``add``; create a missing item."""
        names: dict[str, str] = {"#expires": "expiresAt"}
        parameters: dict[str, Any] = {":expires": {"N": str(self._expiry())}}
        for number, (name, value) in enumerate([*values.items(), *(add or {}).items()]):
            names[f"#{number}"] = name
            parameters[f":{number}"] = _attribute(value) if number < len(values) else {"SS": [value]}
        assignments = ["#expires = :expires", *(f"#{number} = :{number}" for number in range(len(values)))]
        additions = [f"#{number} :{number}" for number in range(len(values), len(names) - 1)]
        self._dynamodb.update_item(
            TableName=self.name,
            Key={"recordKey": {"S": key}},
            UpdateExpression=f"SET {', '.join(assignments)}" + (f" ADD {', '.join(additions)}" if additions else ""),
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=parameters,
        )

    def update_if(
        self,
        key: str,
        values: Mapping[str, str | int],
        *,
        equals: Mapping[str, str | int | None] | None = None,
        present: Collection[str] = (),
        remove: Collection[str] = (),
        expires: bool = False,
    ) -> bool:
        """Set the attributes ``values`` and remove those in ``remove``, unless the item has changed.

        Returns false and writes nothing if an attribute in ``equals`` has another value (``None``: it must be missing),
        or if one in ``present`` is missing. Without ``expires``, the item never expires.
        """
        expiry = {"expiresAt": self._expiry()} if expires else {}
        assigned = {**values, **expiry}
        removed = [*remove, *(() if expires else ("expiresAt",))]
        known = dict(equals or {})
        names = {name: f"#{index}" for index, name in enumerate(dict.fromkeys([*assigned, *removed, *known, *present]))}
        parameters = {f":set{index}": _attribute(value) for index, value in enumerate(assigned.values())}
        conditions = [f"attribute_exists({names[name]})" for name in present]
        for index, (name, value) in enumerate(known.items()):
            if value is None:
                conditions.append(f"attribute_not_exists({names[name]})")
            else:
                conditions.append(f"{names[name]} = :is{index}")
                parameters[f":is{index}"] = _attribute(value)
        assignments = ", ".join(f"{names[name]} = :set{index}" for index, name in enumerate(assigned))
        removals = ", ".join(names[name] for name in removed)
        clauses = [f"SET {assignments}" if assignments else "", f"REMOVE {removals}" if removals else ""]
        return self._update_if(
            {
                "TableName": self.name,
                "Key": {"recordKey": {"S": key}},
                "UpdateExpression": " ".join(filter(None, clauses)),
                "ExpressionAttributeNames": {alias: name for name, alias in names.items()},
                **({"ExpressionAttributeValues": parameters} if parameters else {}),
                **({"ConditionExpression": " AND ".join(conditions)} if conditions else {}),
            }
        )

    def now(self) -> int:
        """The current time in epoch seconds."""
        return int(self._clock())

    def claim(self, key: str, name: str, value: str) -> bool:
        """Set the attribute ``name`` to ``value`` unless it has another value; return whether it has ``value`` now.

        The same claim succeeds again, so a step whose answer was lost can be repeated.
        """
        return self._update_if(
            {
                "TableName": self.name,
                "Key": {"recordKey": {"S": key}},
                "UpdateExpression": "SET #name = :value, #expires = :expires",
                "ConditionExpression": "attribute_not_exists(#name) OR #name = :value",
                "ExpressionAttributeNames": {"#name": name, "#expires": "expiresAt"},
                "ExpressionAttributeValues": {":value": {"S": value}, ":expires": {"N": str(self._expiry())}},
            }
        )

    def _update_if(self, request: dict[str, Any]) -> bool:
        try:
            self._dynamodb.update_item(**request)
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


def number(item: Mapping[str, Any], name: str) -> int:
    """The whole number in the attribute ``name``; 0 if it is missing or has another type."""
    digits = str(item.get(name, {}).get("N", ""))
    return int(digits) if digits.isdecimal() else 0


def _attribute(value: str | int | Decimal) -> dict[str, str]:
    if isinstance(value, Decimal):
        return {"N": f"{value.normalize():f}"}
    return {"N": str(value)} if isinstance(value, int) else {"S": value}
