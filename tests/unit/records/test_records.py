from __future__ import annotations

from typing import Any

import pytest

from kiro_worker.records.cards import claim_repeat
from kiro_worker.records.checkpoints import CheckpointRecord, KeptWork, note_checkpoint, read_checkpoint
from kiro_worker.records.runs import RunRecord, note_push, note_start, read_run
from kiro_worker.records.table import RecordsTable
from tests.support.memory_dynamodb import MemoryDynamoDB

EXECUTION = "arn:aws:states:eu-west-1:123456789012:execution:kiro-worker-test:run-1"
RUN = RunRecord(EXECUTION, "acme/shop", "feature/x", "PVTI_1")
FIRST, SECOND, THIRD = "1" * 40, "2" * 40, "3" * 40
NOW = 1_790_000_000.5


@pytest.fixture
def dynamodb() -> MemoryDynamoDB:
    return MemoryDynamoDB()


@pytest.fixture
def records(dynamodb: Any) -> RecordsTable:
    return RecordsTable(dynamodb, "kiro-worker-test-records", clock=lambda: NOW)


def test_unknown_run_has_no_record(records: RecordsTable) -> None:
    note_push(records, RUN, FIRST)
    assert read_run(records, f"{EXECUTION}-other") is None


def test_run_keeps_every_commit_it_was_about_to_push(records: RecordsTable) -> None:
    note_push(records, RUN, FIRST)
    note_push(records, RUN, SECOND)
    note_push(records, RUN, FIRST)
    assert read_run(records, EXECUTION) == RunRecord(
        EXECUTION, "acme/shop", "feature/x", "PVTI_1", frozenset({FIRST, SECOND})
    )


def test_run_names_where_last_attempt_started(records: RecordsTable) -> None:
    note_start(records, RUN, FIRST)
    started = read_run(records, EXECUTION)
    assert started == RunRecord(EXECUTION, "", "", started_from=FIRST)
    assert started is not None
    assert not started.is_about("", ""), "it pushed nothing"
    note_push(records, RUN, SECOND)
    note_start(records, RUN, THIRD)
    assert read_run(records, EXECUTION) == RunRecord(
        EXECUTION, "acme/shop", "feature/x", "PVTI_1", frozenset({SECOND}), THIRD
    )


def test_repeated_write_changes_nothing(dynamodb: MemoryDynamoDB, records: RecordsTable) -> None:
    dynamodb.resend_next_update = True
    note_push(records, RUN, FIRST)
    assert dynamodb.items[f"run#{EXECUTION}"]["commits"] == {"SS": [FIRST]}


def test_records_expire_after_90_days(dynamodb: MemoryDynamoDB, records: RecordsTable) -> None:
    note_push(records, RUN, FIRST)
    assert dynamodb.items[f"run#{EXECUTION}"]["expiresAt"] == {"N": str(1_790_000_000 + 90 * 86_400)}


def test_checkpoint_names_both_commits_that_server_may_have(records: RecordsTable) -> None:
    note_checkpoint(records, "acme/shop", "feature/x", CheckpointRecord(KeptWork(FIRST, THIRD), None, EXECUTION))
    note_checkpoint(
        records, "acme/shop", "feature/x", CheckpointRecord(KeptWork(SECOND, THIRD), KeptWork(FIRST, THIRD), EXECUTION)
    )
    record = read_checkpoint(records, "acme/shop", "feature/x")
    assert record == CheckpointRecord(KeptWork(SECOND, THIRD), KeptWork(FIRST, THIRD), EXECUTION)
    assert [record.work_at(commit) for commit in (SECOND, FIRST, THIRD, "")] == [
        record.work,
        record.previous,
        None,
        None,
    ]


def test_record_says_what_is_finished(records: RecordsTable) -> None:
    work = KeptWork(SECOND, THIRD, FIRST, frozenset({"2-a", "3-b"}))
    written = CheckpointRecord(work, KeptWork(FIRST, SECOND, FIRST), EXECUTION, frozenset({"1-c"}))
    note_checkpoint(records, "acme/shop", "feature/x", written)
    assert read_checkpoint(records, "acme/shop", "feature/x") == written

    later = CheckpointRecord(KeptWork.none_at(THIRD), None, EXECUTION, frozenset())
    note_checkpoint(records, "acme/shop", "feature/x", later)
    assert read_checkpoint(records, "acme/shop", "feature/x") == later, "nothing of the earlier one remains"


def test_record_of_earlier_version_is_read(dynamodb: MemoryDynamoDB, records: RecordsTable) -> None:
    values = {"checkpoint": SECOND, "previous": FIRST, "base": THIRD, "execution": EXECUTION}
    dynamodb.items["branch#acme/shop#feature/x"] = {name: {"S": value} for name, value in values.items()}
    expected = CheckpointRecord(KeptWork(SECOND, THIRD), KeptWork(FIRST, THIRD), EXECUTION)
    assert read_checkpoint(records, "acme/shop", "feature/x") == expected


def test_first_checkpoint_has_no_previous_one(records: RecordsTable) -> None:
    note_checkpoint(records, "acme/shop", "feature/x", CheckpointRecord(KeptWork(FIRST, THIRD), None, EXECUTION))
    record = read_checkpoint(records, "acme/shop", "feature/x")
    assert record is not None
    assert record.work_at("") is None


@pytest.mark.parametrize(
    ("repository", "branch", "found"),
    [("ACME/Shop", "feature/x", True), ("acme/shop", "Feature/x", False), ("acme/shop#feature", "x", False)],
)
def test_checkpoint_belongs_to_one_branch(records: RecordsTable, repository: str, branch: str, found: bool) -> None:
    note_checkpoint(records, "acme/shop", "feature/x", CheckpointRecord(KeptWork(FIRST, THIRD), None, EXECUTION))
    assert (read_checkpoint(records, repository, branch) is not None) is found


def test_values_of_wrong_type_count_as_absent(dynamodb: MemoryDynamoDB, records: RecordsTable) -> None:
    dynamodb.items["branch#acme/shop#feature/x"] = {"checkpoint": {"N": "1"}}
    assert read_checkpoint(records, "acme/shop", "feature/x") == CheckpointRecord(KeptWork("", ""), None, "")


def test_claim_is_kept_and_can_be_repeated(dynamodb: MemoryDynamoDB, records: RecordsTable) -> None:
    assert claim_repeat(records, "PVTI_1", FIRST, "b:1")
    dynamodb.resend_next_update = True
    assert claim_repeat(records, "PVTI_1", FIRST, "b:1")
    assert not claim_repeat(records, "PVTI_1", FIRST, "b:2")
    assert claim_repeat(records, "PVTI_1", SECOND, "b:2")
    assert not claim_repeat(records, "PVTI_1", FIRST, "b:3")
    assert claim_repeat(records, "PVTI_2", FIRST, "b:3")
    assert dynamodb.items["card#PVTI_1"]["expiresAt"] == {"N": str(1_790_000_000 + 90 * 86_400)}
