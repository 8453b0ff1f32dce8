from __future__ import annotations

from typing import Any

import pytest

from kiro_worker.lock.item import Holder


@pytest.mark.parametrize(
    ("stored", "expires_at"),
    [
        ({"N": "1763900000"}, 1_763_900_000),
        ({"N": "1763900000000"}, 1_763_900_000),
        ({"N": "1E+30"}, 0),
        ({"N": "-5"}, 0),
        ({"N": "soon"}, 0),
        ({"S": "1763900000"}, 0),
        (None, 0),
    ],
)
def test_expiry_unit_is_detected(stored: Any, expires_at: float) -> None:
    assert Holder.from_item({"expiresAt": stored} if stored else {}).expires_at == expires_at


@pytest.mark.parametrize(
    ("text", "timestamp"), [("2025-11-23T12:13:20.000Z", 1_763_900_000), ("", 0), ("yesterday", 0)]
)
def test_invalid_acquisition_time_is_zero(text: str, timestamp: float) -> None:
    assert Holder("key", acquired_at=text).acquired_timestamp == timestamp


def test_condition_compares_stored_attributes() -> None:
    values: dict[str, Any] = {}
    holder = Holder.from_item({"lockKey": {"S": "key"}, "owner": {"N": "5"}, "fence": {"NULL": True}})
    assert (
        holder.unchanged_condition(values)
        == "#owner = :expected_owner AND fence = :expected_fence AND attribute_not_exists(buildId)"
    )
    assert values == {":expected_owner": {"N": "5"}, ":expected_fence": {"NULL": True}}
