"""How the next run reports a run that ended without a report."""

from __future__ import annotations

import asyncio

import pytest

from kiro_worker.lock.item import Holder, Subject
from kiro_worker.models import Failure
from kiro_worker.records.cards import claim_repeat
from kiro_worker.records.runs import RunRecord, note_push, note_start
from kiro_worker.records.table import RecordsTable
from kiro_worker.recovery import report_abandoned_run
from tests.support.fake_github import Board, FakeCard, FakeGitHub, configuration, draft, issue, ready_repository
from tests.support.memory_dynamodb import MemoryDynamoDB

ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
RUN = RunRecord(ARN, "acme/shop", "feature/x", "CARD")
DENIED = {"type": "FORBIDDEN", "message": "no"}


def github(status: str | None = "In Progress", *, archived: bool = False, is_draft: bool = False) -> FakeGitHub:
    card = FakeCard("CARD", status, archived=archived, content=draft() if is_draft else issue())
    return FakeGitHub(Board([card], repository=ready_repository(), comments={"I_1": [], "PR_1": []}))


def recover(
    fake: FakeGitHub, subject: Subject | None = None, error: str = "ABORTED", records: MemoryDynamoDB | None = None
) -> None:
    table = RecordsTable(records or MemoryDynamoDB(), "records")  # type: ignore[arg-type]  # answers the same requests

    async def act() -> None:
        holder = Holder("lock", owner=ARN, subject=subject or Subject("CARD", "acme/shop", "feature/x"))
        async with fake.open_session() as session:
            await report_abandoned_run(session, configuration(), table, holder, ARN, Failure(error=error))

    asyncio.run(act())


@pytest.mark.parametrize("error", ["ABORTED", "LockLost", "States.Timeout"])
def test_card_in_progress_is_reported(error: str) -> None:
    fake = github()
    recover(fake, error=error)
    assert fake.board.card("CARD").status == "Failed"
    [comment] = fake.board.comments["PR_1"]
    assert f"**{error.removeprefix('States.')}**" in comment.body
    assert ARN in comment.body


@pytest.mark.parametrize("status", ["Ready", "In Review", "Blocked", "Failed", "Elsewhere", None])
def test_card_elsewhere_is_left_alone(status: str | None) -> None:
    fake = github(status)
    recover(fake)
    assert fake.sent() == ["ReadCard"]


@pytest.mark.parametrize(
    ("commit", "repeated", "status"),
    [("", False, "Ready"), ("a" * 40, False, "Ready"), ("a" * 40, True, "Failed")],
    ids=["no agent", "first", "repeated"],
)
def test_installation_is_not_paid_for_ever(commit: str, repeated: bool, status: str) -> None:
    """MarkFailed found that the card had its other attempt, and could not move it."""
    dynamodb = MemoryDynamoDB()
    records = RecordsTable(dynamodb, "records")  # type: ignore[arg-type]  # answers the same requests
    if commit:
        note_start(records, RUN, commit)
    if repeated:
        assert claim_repeat(records, "CARD", commit, "b:1")
    fake = github()
    recover(fake, error="AgentUnavailable", records=dynamodb)
    assert fake.board.card("CARD").status == status
    assert len(fake.board.comments["PR_1"]) == (status == "Failed")


def test_archived_card_is_left_alone() -> None:
    fake = github(archived=True)
    recover(fake)
    assert fake.sent() == ["ReadCard"]


def test_deleted_card_is_no_error() -> None:
    fake = github()
    fake.board.cards.clear()
    recover(fake)
    assert fake.sent() == ["ReadCard"]


def test_lock_without_card_asks_nothing() -> None:
    fake = github()
    recover(fake, Subject(repository="acme/shop", branch="feature/x"))
    assert fake.requests == []


def test_missing_pull_request_comments_on_issue() -> None:
    fake = github()
    fake.board.repository = ready_repository(pullRequests={"nodes": []})
    recover(fake)
    assert [len(comments) for comments in fake.board.comments.values()] == [1, 0]


def test_draft_is_moved_without_comment() -> None:
    fake = github(is_draft=True)
    recover(fake, Subject("CARD"))
    assert fake.sent() == ["ReadCard", "SetStatus"]


@pytest.mark.parametrize("operation", ["SetStatus", "AddComment"])
def test_forbidden_write_does_not_end_run(operation: str) -> None:
    fake = github()
    fake.errors[operation] = DENIED
    recover(fake)
    assert operation in fake.sent()


def pushed_run(commit: str) -> MemoryDynamoDB:
    dynamodb = MemoryDynamoDB()
    records = RecordsTable(dynamodb, "records")  # type: ignore[arg-type]  # answers the same requests
    note_push(records, RUN, commit)
    return dynamodb


@pytest.mark.parametrize("error", ["ABORTED", "TIMED_OUT", "LockLost"])
def test_pushed_work_goes_to_review(error: str) -> None:
    fake = github()
    fake.board.history = ["c" * 40, "b" * 40]
    recover(fake, error=error, records=pushed_run("b" * 40))
    assert fake.board.card("CARD").status == "In Review"
    [comment] = fake.board.comments["PR_1"]
    assert "✅ **Implemented**: `bbbbbbbbbbbb`" in comment.body
    assert f"the run ended as {error}" in comment.body


def test_push_of_earlier_attempt_does_not_finish_later_one() -> None:
    """The first attempt pushed, a person added tasks, and the redriven run was aborted while its agent worked."""
    fake = github()
    fake.board.history = fake.board.before = ["c" * 40, "b" * 40]
    records = pushed_run("b" * 40)
    table = RecordsTable(records, "records")  # type: ignore[arg-type]  # answers the same requests
    note_start(table, RUN, "c" * 40)
    recover(fake, records=records)
    assert fake.board.card("CARD").status == "Failed"

    fake = github()
    fake.board.history, fake.board.before = ["d" * 40, "c" * 40, "b" * 40], ["c" * 40, "b" * 40]
    note_push(table, RUN, "d" * 40)
    recover(fake, records=records)
    assert fake.board.card("CARD").status == "In Review", "the second attempt has pushed"


def test_unpushed_commit_is_no_success() -> None:
    fake = github()
    fake.board.history = ["c" * 40]
    recover(fake, records=pushed_run("b" * 40))
    assert fake.board.card("CARD").status == "Failed"


def test_record_of_another_card_is_no_success() -> None:
    fake = github()
    fake.board.history = ["b" * 40]
    fake.board.cards.append(FakeCard("OTHER", "In Progress", content=issue()))
    recover(fake, Subject("OTHER", "acme/shop", "feature/x"), records=pushed_run("b" * 40))
    assert fake.board.card("OTHER").status == "Failed"
