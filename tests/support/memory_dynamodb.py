"""DynamoDB in memory: the requests that the lock and the records send, evaluated as DynamoDB evaluates them.

It makes the unit tests take milliseconds; tests/integration/lock runs the same code against two real servers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from botocore.exceptions import ClientError

Item = dict[str, dict[str, Any]]


class MemoryDynamoDB:
    """One table, of locks or of records, whose items have a single key attribute.

    ``before_updates`` holds a call for each of the next updates, which happens between the lock's read and its write.
    With ``resend_next_update``, the answer to the next update is lost, and boto3 sends the request again. ``left_out``
    has, for each of the next batch requests, how many of its last keys come back as unprocessed. ``requests`` has the
    names of all requests, and ``batches`` every batch request.
    """

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.before_updates: list[Callable[[], object]] = []
        self.resend_next_update = False
        self.left_out: list[int] = []
        self.requests: list[str] = []
        self.batches: list[dict[str, Any]] = []

    def get_item(self, *, Key: Item, **_: Any) -> dict[str, Any]:  # noqa: N803  # boto3's name
        self.requests.append("GetItem")
        [key] = Key.values()
        item = self.items.get(key["S"])
        return {} if item is None else {"Item": deepcopy(item)}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803  # boto3's name
        """Items in another order than their keys, as DynamoDB may return them."""
        self.requests.append("BatchGetItem")
        [(table, wanted)] = RequestItems.items()
        keys = [value["S"] for key in wanted["Keys"] for value in key.values()]
        self.batches.append({"keys": keys, "consistent": wanted.get("ConsistentRead", False)})
        assert 1 <= len(keys) == len(set(keys)) <= 100, "DynamoDB rejects more than 100 keys, repeated ones, and none"
        read = len(keys) - min(len(keys), self.left_out.pop(0) if self.left_out else 0)
        answered = [deepcopy(self.items[key]) for key in reversed(keys[:read]) if key in self.items]
        left = {table: {**wanted, "Keys": wanted["Keys"][read:]}} if keys[read:] else {}
        return {"Responses": {table: answered}, "UnprocessedKeys": left}

    def scan(self, **request: Any) -> dict[str, Any]:
        self.requests.append("Scan")
        filtered = "FilterExpression" in request
        items = self.items.values()
        return {
            "Items": [
                deepcopy(item) for item in items if not filtered or holds(request["FilterExpression"], item, request)
            ]
        }

    def get_paginator(self, name: str) -> MemoryDynamoDB:
        assert name == "scan"
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        yield self.scan(**request)

    def delete_item(self, **request: Any) -> dict[str, Any]:
        self.requests.append("DeleteItem")
        if self.before_updates:
            self.before_updates.pop(0)()
        [value] = request["Key"].values()
        _require_condition(request, self.items.get(value["S"], {}))
        self.items.pop(value["S"], None)
        if self.resend_next_update:
            self.resend_next_update = False
            return self.delete_item(**request)
        return {}

    def update_item(self, **request: Any) -> dict[str, Any]:
        self.requests.append("UpdateItem")
        if self.before_updates:
            self.before_updates.pop(0)()
        [(attribute, value)] = request["Key"].items()
        key = value["S"]
        old = self.items.get(key, {})
        _require_condition(request, old)
        self.items[key] = updated({attribute: {"S": key}, **old}, request)
        if self.resend_next_update:
            self.resend_next_update = False
            return self.update_item(**request)
        return {}


def _require_condition(request: Mapping[str, Any], item: Item) -> None:
    if "ConditionExpression" in request and not holds(request["ConditionExpression"], item, request):
        error: Any = {"Error": {"Code": "ConditionalCheckFailedException"}, "Item": deepcopy(item)}
        raise ClientError(error, "Write")


def holds(condition: str, item: Item, request: Mapping[str, Any]) -> bool:
    """Whether ``condition``, made of AND, OR, ``=``, ``<`` and ``attribute_[not_]exists``, is true of ``item``."""

    def absent(match: re.Match[str]) -> str:
        return str((value_of(item, request, match[2]) is None) is bool(match[1]))

    def compared(match: re.Match[str]) -> str:
        left, operator, right = match.groups()
        return str(compare(operator, value_of(item, request, left), value_of(item, request, right)))

    expression = re.sub(r"attribute_(not_)?exists\((#?\w+)\)", absent, condition)
    expression = re.sub(r"([#:]?\w+) (=|<) ([#:]?\w+)", compared, expression)
    expression = expression.replace("AND", "and").replace("OR", "or")
    assert re.fullmatch(r"(True|False|and|or|[() ])+", expression), expression
    return bool(eval(expression))  # noqa: S307  # only the words that the assertion permits


def compare(operator: str, left: Any, right: Any) -> bool:
    if left is None or right is None:
        return False
    if operator == "=":
        return bool(left == right)
    return left.keys() == right.keys() == {"N"} and float(left["N"]) < float(right["N"])


def value_of(item: Item, request: Mapping[str, Any], operand: str) -> dict[str, Any] | None:
    if operand.startswith(":"):
        value: dict[str, Any] = request["ExpressionAttributeValues"][operand]
        return value
    return item.get(request["ExpressionAttributeNames"].get(operand, operand))


def updated(item: Item, request: Mapping[str, Any]) -> Item:
    """``item`` after ``UpdateExpression``, whose values all refer to the item as it was."""
    result = deepcopy(item)
    for clause in re.split(r" ?(?=SET |REMOVE |ADD )", request["UpdateExpression"]):
        action, _, changes = clause.partition(" ")
        for change in filter(None, changes.split(", ")):
            target, _, source = change.replace(" = ", " ").partition(" ")
            name = request["ExpressionAttributeNames"].get(target, target)
            if action == "REMOVE":
                result.pop(name, None)
            elif action == "ADD":
                added = request["ExpressionAttributeValues"][source]["SS"]
                result[name] = {"SS": sorted({*item.get(name, {}).get("SS", []), *added})}
            else:
                value = value_of(item, request, source)
                assert value is not None, f"DynamoDB rejects {change}: the attribute does not exist"
                result[name] = deepcopy(value)
    return result
