"""The requests of the records, as two independent servers evaluate them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from kiro_worker.records.cards import claim_repeat
from kiro_worker.records.checkpoints import CheckpointRecord, KeptWork, note_checkpoint, read_checkpoint
from kiro_worker.records.days import day_key, note_spending, spent
from kiro_worker.records.runs import RunRecord, note_push, read_run
from kiro_worker.records.table import RecordsTable
from tests.support.lock_table import create_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "kiro-worker-test-records"
RUN = RunRecord("arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one", "acme/shop", "x", "PVTI_1")


@pytest.fixture
def records(aws_of_each: dict[str, Any]) -> RecordsTable:
    client: DynamoDBClient = boto3.client("dynamodb", **aws_of_each)
    create_table(client, TABLE, "recordKey")
    return RecordsTable(client, TABLE)


def test_run_collects_commits(records: RecordsTable) -> None:
    assert read_run(records, RUN.execution) is None
    for commit in ("1" * 40, "2" * 40, "1" * 40):
        note_push(records, RUN, commit)
    found = read_run(records, RUN.execution)
    assert found == RunRecord(RUN.execution, "acme/shop", "x", "PVTI_1", frozenset({"1" * 40, "2" * 40}))


def test_checkpoint_is_replaced(records: RecordsTable) -> None:
    assert read_checkpoint(records, "acme/shop", "x") is None
    note_checkpoint(records, "acme/shop", "x", CheckpointRecord(KeptWork("1" * 40, "0" * 40), None, RUN.execution))
    second = CheckpointRecord(KeptWork("2" * 40, "0" * 40), KeptWork("1" * 40, "0" * 40), RUN.execution)
    note_checkpoint(records, "acme/shop", "x", second)
    assert read_checkpoint(records, "acme/shop", "x") == second


def test_build_is_claimed_once_per_commit(records: RecordsTable) -> None:
    assert claim_repeat(records, "PVTI_1", "1" * 40, "b:1")
    assert claim_repeat(records, "PVTI_1", "1" * 40, "b:1")
    assert not claim_repeat(records, "PVTI_1", "1" * 40, "b:2")
    assert claim_repeat(records, "PVTI_1", "2" * 40, "b:2")


def test_spending_of_builds_adds_up(records: RecordsTable) -> None:
    for build, cost in [("b:1", 0.1), ("b:2", 0.2), ("b:1", 0.37), ("b:1", 0.37), ("b:3", 1e-06), ("b:4", 1e7)]:
        note_spending(records, 0.0, "Acme/Shop", build, cost)
    keys = [day_key(0.0), day_key(0.0, "acme/shop")]
    found = records.read_many([*keys, day_key(0.0, "acme/api")], consistent=True)
    assert {key: spent(item) for key, item in found.items()} == dict.fromkeys(keys, 10_000_000.570001)


def test_answer_that_is_too_large_for_one_request_is_complete(records: RecordsTable) -> None:
    keys = [f"card#{number}" for number in range(50)]
    for key in keys:
        records.update(key, {"padding": "x" * 390_000})
    found = records.read_many([*keys, "card#missing"])
    assert sorted(found) == sorted(keys)
