from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.records.cards import Rejection, claim_repeat, note_rejection, read_rejections
from kiro_worker.records.checkpoints import CheckpointRecord, KeptWork, note_checkpoint, read_checkpoint
from kiro_worker.records.runs import RunRecord, note_push, note_start, note_summary, read_run, read_summary
from kiro_worker.records.summaries import LARGEST_SUMMARY, DoneTask, FailedTest, GateNote, RunSummary, Turn
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


SUMMARY = RunSummary(
    (DoneTask("1 Parse", FIRST, "1-0"), DoneTask("2 Price")),
    (Turn("1 Parse", "Done.\n✓"),),
    (FailedTest("t", "x"),),
    (GateNote("flaky", "t"),),
)


def test_run_remembers_what_it_has_done(records: RecordsTable) -> None:
    assert read_summary(records, EXECUTION) == RunSummary()
    note_push(records, RUN, FIRST)
    note_summary(records, EXECUTION, SUMMARY)
    found = read_run(records, EXECUTION)
    assert found is not None
    assert (found.summary, found.commits) == (SUMMARY, frozenset({FIRST}))
    assert read_summary(records, EXECUTION) == SUMMARY
    note_summary(records, EXECUTION, RunSummary())
    assert read_summary(records, EXECUTION) == RunSummary()


def test_summary_that_cannot_be_read_is_empty() -> None:
    class Unavailable(MemoryDynamoDB):
        def get_item(self, **_: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "GetItem")

    table = RecordsTable(Unavailable(), "records")  # type: ignore[arg-type]  # answers the same requests
    assert read_summary(table, EXECUTION) == RunSummary()


@pytest.mark.parametrize("letter", ["x", "\U0001f600", '"', "\\"])
def test_longest_summary_fits_into_record(letter: str) -> None:
    tasks = tuple(DoneTask(f"{number} {letter * 90}", FIRST, f"{number}-0") for number in range(1000))
    turns = tuple(Turn(letter * 99, f"{number} {letter * 590}") for number in range(1000))
    failed = tuple(FailedTest(letter * 200, letter * 1800) for _ in range(100))
    notes = tuple(GateNote("flaky", letter * 500) for _ in range(100))
    assert len(RunSummary(tasks, turns, failed, notes).to_json().encode()) <= LARGEST_SUMMARY
    text = RunSummary(tasks, turns).to_json()
    kept = RunSummary.from_json(text)
    assert len(text.encode()) <= LARGEST_SUMMARY
    assert kept.tasks == tasks[: len(kept.tasks)]
    assert len(kept.tasks) > 40
    assert not kept.turns or kept.turns[-1] == turns[-1], "the last words matter most"


KEYS = st.sampled_from(["tasks", "turns", "failed", "notes", "name", "commit", "said", "kind", "names"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(JSON.map(json.dumps) | st.text())
def test_summary_of_other_form_is_read_without_it(text: str) -> None:
    found = RunSummary.from_json(text)
    assert all(
        isinstance(value, str)
        for entry in (*found.tasks, *found.turns, *found.failed, *found.notes)
        for value in vars(entry).values()
    )


def test_commit_of_summary_is_commit() -> None:
    document = {"tasks": [{"name": "1", "commit": f"{FIRST}](https://evil.example)"}, {"name": ""}, 7], "turns": [{}]}
    assert RunSummary.from_json(json.dumps(document)) == RunSummary((DoneTask("1"),))


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


def test_record_names_the_specs(records: RecordsTable) -> None:
    work = KeptWork(SECOND, THIRD, spec_path=".kiro/specs/cart")
    before = KeptWork(FIRST, THIRD, spec_path=".kiro/specs/old")
    note_checkpoint(records, "acme/shop", "feature/x", CheckpointRecord(work, before, EXECUTION))
    record = read_checkpoint(records, "acme/shop", "feature/x")
    assert record is not None
    assert record.previous is not None
    assert (record.work.spec_path, record.previous.spec_path) == (".kiro/specs/cart", ".kiro/specs/old")


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


def test_rejection_is_read_back_by_card(records: RecordsTable) -> None:
    note_rejection(records, "PVTI_1", "no branch")
    note_rejection(records, "PVTI_2", "x" * 5000)
    assert claim_repeat(records, "PVTI_3", FIRST, "b:1")
    found = read_rejections(records, ["PVTI_1", "PVTI_2", "PVTI_3", "PVTI_4", "PVTI_1"])
    assert found == {"PVTI_1": Rejection(1_790_000_000, "no branch"), "PVTI_2": Rejection(1_790_000_000, "x" * 2000)}
    assert read_rejections(records, []) == {}


def test_rejection_keeps_claims(records: RecordsTable) -> None:
    assert claim_repeat(records, "PVTI_1", FIRST, "b:1")
    note_rejection(records, "PVTI_1", "no branch")
    assert not claim_repeat(records, "PVTI_1", FIRST, "b:2")


def table_with(dynamodb: MemoryDynamoDB, *cards: str) -> tuple[RecordsTable, list[float]]:
    """A table with a record for each card, and the pauses that it makes."""
    pauses: list[float] = []
    table: RecordsTable = RecordsTable(dynamodb, "records", clock=lambda: NOW, sleep=pauses.append)  # type: ignore[arg-type]  # answers the same requests
    for card in cards:
        note_rejection(table, card, "no branch")
    return table, pauses


def test_many_are_read_with_one_request(dynamodb: MemoryDynamoDB) -> None:
    table, pauses = table_with(dynamodb, "a", "b")
    found = table.read_many(["card#a", "card#b", "card#c", "card#a"], consistent=True)
    assert found == {"card#a": dynamodb.items["card#a"], "card#b": dynamodb.items["card#b"]}
    assert dynamodb.batches == [{"keys": ["card#a", "card#b", "card#c"], "consistent": True}]
    assert pauses == []
    table.read_many(["card#a"])
    assert dynamodb.batches[-1] == {"keys": ["card#a"], "consistent": False}
    assert table.read_many([]) == {}


@pytest.mark.parametrize("left_out", [(1,), (2, 1), (3, 3), (0, 0), (3, 3, 3)])
def test_what_was_left_out_is_asked_for_again(dynamodb: MemoryDynamoDB, left_out: tuple[int, ...]) -> None:
    table, pauses = table_with(dynamodb, "a", "b", "c")
    dynamodb.left_out = list(left_out)
    found = table.read_many(["card#a", "card#b", "card#missing", "card#c"])
    assert sorted(found) == ["card#a", "card#b", "card#c"]
    assert pauses == sorted(pauses)
    assert sum(pauses) < 1


def test_single_reads_complete_answer_of_throttled_table(dynamodb: MemoryDynamoDB) -> None:
    table, _ = table_with(dynamodb, "a", "b", "c")
    dynamodb.left_out = [3] * 100
    found = table.read_many(["card#a", "card#b", "card#missing", "card#c"])
    assert sorted(found) == ["card#a", "card#b", "card#c"]
    assert len(dynamodb.batches) <= 4, "bounded"
