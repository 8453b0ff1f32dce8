"""The records of the days: what each build has spent, counted once however often it is written."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.records.days import MOST_BUILDS, day_key, note_spending, spending_attribute, spent
from kiro_worker.records.table import RecordsTable
from tests.support.memory_dynamodb import MemoryDynamoDB

NOON = 1_767_355_200.0  # 2026-01-02 12:00 UTC
DAY, OF_SHOP, OF_API = "day#2026-01-02", "day#2026-01-02#acme/shop", "day#2026-01-02#acme/api"
LARGEST_ITEM = 400 * 1024


@pytest.fixture
def dynamodb() -> MemoryDynamoDB:
    return MemoryDynamoDB()


@pytest.fixture
def records(dynamodb: Any) -> RecordsTable:
    return RecordsTable(dynamodb, "kiro-worker-test-records", clock=lambda: NOON)


def spent_on(dynamodb: MemoryDynamoDB, key: str) -> float:
    return spent(dynamodb.items.get(key, {}))


def test_build_counts_for_day_and_repository(dynamodb: MemoryDynamoDB, records: RecordsTable) -> None:
    note_spending(records, NOON, "Acme/Shop", "b:1", 0.37)
    note_spending(records, NOON, "acme/api", "b:2", 2)
    assert {key: spent_on(dynamodb, key) for key in dynamodb.items} == {DAY: 2.37, OF_SHOP: 0.37, OF_API: 2}
    assert (day_key(NOON), day_key(NOON, "Acme/Shop")) == (DAY, OF_SHOP)
    assert dynamodb.items[OF_SHOP] == {
        "recordKey": {"S": OF_SHOP},
        spending_attribute("b:1"): {"N": "0.37"},
        "expiresAt": {"N": str(int(NOON) + 90 * 86_400)},
    }


def test_later_write_of_build_replaces_earlier_one(dynamodb: MemoryDynamoDB, records: RecordsTable) -> None:
    note_spending(records, NOON, "acme/shop", "b:1", 0.1)
    dynamodb.resend_next_update = True
    note_spending(records, NOON, "acme/shop", "b:1", 0.3)
    assert spent_on(dynamodb, DAY) == spent_on(dynamodb, OF_SHOP) == 0.3


def test_second_build_of_run_adds_up(dynamodb: MemoryDynamoDB, records: RecordsTable) -> None:
    for build in ("b:1", "b:2", "b:3"):
        note_spending(records, NOON, "acme/shop", build, 0.1)
    assert spent_on(dynamodb, DAY) == 0.3, "0.1 + 0.1 + 0.1 is not 0.3 in floats"


@pytest.mark.parametrize(
    ("seconds", "day"),
    [(-43_200, "2026-01-02"), (-43_201, "2026-01-01"), (43_199.9, "2026-01-02"), (43_200, "2026-01-03")],
)
def test_day_begins_at_midnight_utc(monkeypatch: pytest.MonkeyPatch, seconds: float, day: str) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    assert day_key(NOON + seconds) == f"day#{day}"


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (0.1 + 0.2, "0.3"),
        (0.0, "0"),
        (1e-06, "0.000001"),
        (12_345_678.0, "12345678"),
        (1e21, "1000000000000000000000"),
        (3, "3"),
        (100.0, "100"),
    ],
)
def test_number_is_stored_as_people_write_it(
    dynamodb: MemoryDynamoDB, records: RecordsTable, value: float, stored: str
) -> None:
    note_spending(records, NOON, "acme/shop", "b:1", value)
    assert dynamodb.items[DAY][spending_attribute("b:1")] == {"N": stored}


def test_what_people_edited_badly_counts_as_nothing() -> None:
    item: dict[str, Any] = {
        "recordKey": {"S": DAY},
        "c#1": {"N": "2.5"},
        "c#2": {"S": "7"},
        "c#3": {"N": "many"},
        "c#4": {"N": "NaN"},
        "c#5": {"N": "Infinity"},
        "c#6": {"N": "-4"},
        "c#7": {},
        "c#8": {"N": None},
        "c#9": {"M": {"N": {"N": "1"}}},
        "c#10": None,
        "credits": {"N": "9"},
    }
    assert spent(item) == 2.5
    assert spent({}) == 0


NOTES = st.tuples(
    st.sampled_from(["b:1", "b:2", "b:3", "b:4"]),
    st.sampled_from(["acme/shop", "Acme/Shop", "acme/api"]),
    st.integers(0, 10**9).map(lambda millionths: millionths / 10**6),
)


@given(st.lists(NOTES, max_size=12), st.data())
def test_sum_is_of_last_note_of_each_build(notes: list[tuple[str, str, float]], data: st.DataObject) -> None:
    memory = MemoryDynamoDB()
    records = RecordsTable(memory, "records", clock=lambda: NOON)  # type: ignore[arg-type]  # answers the same requests
    # A build is about one repository.
    of_build: dict[str, str] = {}
    last: dict[str, Decimal] = {}
    for build, named, value in notes:
        repository = of_build.setdefault(build, named)
        memory.resend_next_update = data.draw(st.booleans())
        for _ in range(data.draw(st.integers(1, 3))):
            note_spending(records, NOON, repository, build, value)
        last[build] = Decimal(str(value))

    def total(values: Mapping[str, Decimal], repository: str = "") -> float:
        return float(sum(value for build, value in values.items() if repository in ("", of_build[build].lower())))

    for repository in ("", "acme/shop", "acme/api"):
        assert spent_on(memory, day_key(NOON, repository)) == total(last, repository)


def test_record_holds_documented_number_of_builds() -> None:
    attributes = {spending_attribute("kiro-worker-test:1"): "1234.567891"}
    # A number takes a byte per two digits and one or two more: DynamoDB Developer Guide, "Item sizes and formats".
    size = sum(len(name) + (len(value) + 1) // 2 + 2 for name, value in attributes.items())
    assert MOST_BUILDS * size + 1000 < LARGEST_ITEM
