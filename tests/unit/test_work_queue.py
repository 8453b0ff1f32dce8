"""Which card a run takes, which ones it passes over, and when it does not start at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from kiro_worker.config.model import Configuration
from kiro_worker.errors import GitHubUnavailable, KiroWorkerError, WorkItemMoved, WorkItemNotFound
from kiro_worker.github.client import GitHubSession
from kiro_worker.github.selection import ExecutionInput
from kiro_worker.lock.table import LockTable
from kiro_worker.models import Failure, WorkItem
from kiro_worker.records.breaker import open_breaker, pause, read_breaker
from kiro_worker.records.cards import read_rejections
from kiro_worker.records.table import RecordsTable
from kiro_worker.state import CardReport, End, SkippedCard, StateDocument, StepEvent
from kiro_worker.work_queue import MAX_SKIPPED, Fetched, QueueEdges, fetch_work_item
from tests.support.fake_github import Board, FakeCard, FakeGitHub, configuration, issue, ready_repository
from tests.support.memory_dynamodb import MemoryDynamoDB

ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
OTHER = ARN.replace(":one", ":other")
MOVED = 1767323045
"""When the cards of the fake board got their status."""


@dataclass
class Installation:
    """The worker's tables and Step Functions, at a time an hour after the cards were moved."""

    github: FakeGitHub
    now: float = MOVED + 3600
    dynamodb: MemoryDynamoDB = field(default_factory=MemoryDynamoDB)
    redrives: int = 0

    @property
    def records(self) -> RecordsTable:
        return RecordsTable(self.dynamodb, "records", lambda: self.now)  # type: ignore[arg-type]  # the same requests

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        return {"redriveCount": self.redrives}

    def fetch(self, request: Any = None, *, redrive_count: int = 0, execution: str = ARN, **document: Any) -> Fetched:
        locks = LockTable(MemoryDynamoDB(), "locks", 0, lambda _: None, stop_build=lambda _: None)  # type: ignore[arg-type]
        edges = QueueEdges(locks, self.records, self, self._session)  # type: ignore[arg-type]  # describes executions
        event = StepEvent(execution, redrive_count, request or {}, "FetchWorkItem", StateDocument(**document))
        return asyncio.run(fetch_work_item(event, ExecutionInput.parse(request or {}), edges))

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[tuple[GitHubSession, Configuration]]:
        async with self.github.open_session() as session:
            yield session, configuration()


def installation(*cards: FakeCard, **board: Any) -> Installation:
    return Installation(FakeGitHub(Board(list(cards), repository=ready_repository(), **board)))


def taken(fetched: Fetched) -> str | None:
    return fetched.item.id if fetched.item else None


def failed_check(error: str = "StepFailed", *, state: str = "ValidateWorkItem", pinned: bool = False) -> dict[str, Any]:
    """The parts of the state document after a check of the card ONE failed."""
    cause = json.dumps({"errorMessage": "it broke", "errorType": error})
    return {"item": WorkItem("ONE"), "pinned": pinned, "failure": Failure(state, error, cause)}


def test_first_waiting_card_is_taken() -> None:
    waiting = [FakeCard("MOVED", "Elsewhere"), FakeCard("NULL", None), FakeCard("ONE"), FakeCard("TWO")]
    worker = installation(FakeCard("GONE", archived=True), *waiting)
    assert worker.fetch() == Fetched(item=worker.fetch().item)
    assert taken(worker.fetch()) == "ONE"
    assert set(worker.github.sent()) == {"FetchWorkItem"}


def test_empty_queue_says_so() -> None:
    fetched = installation(FakeCard("MOVED", "In Review")).fetch()
    assert (fetched.item, fetched.end, fetched.reason) == (
        None,
        End.NOTHING_TO_DO,
        "no card is waiting in 'Ready' on the board acme/1\nHow to fix: move a card to 'Ready'",
    )


def test_hidden_cards_are_counted() -> None:
    reason = installation(FakeCard("HIDDEN", content=None)).fetch().reason
    assert "the token cannot see the issue or pull request of 1 card" in reason
    assert "give the token access to the repositories" in reason


def test_issue_is_taken_with_its_repository() -> None:
    item = installation(FakeCard("ONE", content=issue(repository={"nameWithOwner": "Acme/Shop"}))).fetch().item
    assert item
    assert (item.repository, item.number, item.content_id, item.title) == ("Acme/Shop", 1, "I_1", "An issue")


@pytest.mark.parametrize("status", ["Ready", "In Progress", "Blocked", "Failed"])
def test_pinned_card_is_taken(status: str) -> None:
    worker = installation(FakeCard("ONE"), FakeCard("PINNED", status))
    fetched = worker.fetch({"trigger": "manual", "itemId": "PINNED"})
    assert (taken(fetched), fetched.pinned) == ("PINNED", True)
    assert worker.github.sent() == ["ReadCard"]


def test_resumed_card_wins_over_input() -> None:
    worker = installation(FakeCard("PINNED"), FakeCard("RESUMED", "Failed"))
    resumed: dict[str, Any] = {"item": WorkItem("RESUMED"), "failure": Failure("RunBuild", "TestsFailed")}
    fetched = worker.fetch({"itemId": "PINNED"}, redrive_count=1, **resumed)
    assert (taken(fetched), fetched.pinned) == ("RESUMED", True)


@pytest.mark.parametrize("status", ["In Review", "Elsewhere", "ready", None])
def test_moved_pinned_card_is_refused(status: str | None) -> None:
    with pytest.raises(WorkItemMoved) as caught:
        installation(FakeCard("PINNED", status)).fetch({"itemId": "PINNED"})
    assert f"is in '{status or ''}'" in caught.value.reason
    assert "only in 'Ready', 'In Progress', 'Failed', 'Blocked'" in caught.value.reason
    assert "move the card to 'Ready'" in caught.value.remedy


def test_archived_pinned_card_is_refused() -> None:
    with pytest.raises(WorkItemMoved, match="PINNED is archived"):
        installation(FakeCard("PINNED", archived=True)).fetch({"itemId": "PINNED"})


def test_unknown_pinned_card_is_named() -> None:
    with pytest.raises(WorkItemNotFound, match="'UNKNOWN'"):
        installation(FakeCard("ONE")).fetch({"itemId": "UNKNOWN"})


@pytest.mark.parametrize("board", [{"owner": "rival"}, {"number": 2}])
def test_card_of_other_board_is_refused(board: dict[str, Any]) -> None:
    with pytest.raises(WorkItemNotFound, match="the configured board is acme/1"):
        installation(FakeCard("PINNED"), **board).fetch({"itemId": "PINNED"})


def test_board_owner_ignores_case() -> None:
    assert taken(installation(FakeCard("PINNED"), owner="Acme").fetch({"itemId": "PINNED"})) == "PINNED"


@pytest.mark.parametrize("error", ["StepFailed", "States.Timeout", "Sandbox.Timedout", "GitHubForbidden"])
@pytest.mark.parametrize("state", ["ValidateWorkItem", "RejectWorkItem"])
def test_card_that_breaks_check_is_passed_over(error: str, state: str) -> None:
    worker = installation(FakeCard("ONE"), FakeCard("TWO"))
    fetched = worker.fetch(**failed_check(error, state=state))
    assert taken(fetched) == "TWO"
    [skipped] = fetched.skipped
    assert skipped.item == "ONE"
    assert "it broke" in skipped.reason
    assert set(read_rejections(worker.records, ["ONE", "TWO"])) == {"ONE"}, "the next run takes it last"


def test_check_that_finds_installation_broken_fails_its_run() -> None:
    worker = installation(FakeCard("ONE"))
    open_breaker(worker.records, "GitHubForbidden", "GitHub answers 403", "ONE")
    with pytest.raises(KiroWorkerError, match="it broke") as caught:
        worker.fetch(**failed_check("GitHubForbidden"))
    assert type(caught.value).__name__ == "GitHubForbidden"
    assert read_rejections(worker.records, ["ONE"]) == {}, "the card is not to blame"
    worker.redrives = 1
    assert worker.fetch(**failed_check("GitHubForbidden")).end is End.INSTALLATION_UNAVAILABLE


def test_card_is_not_blamed_for_outage() -> None:
    worker = installation(FakeCard("ONE"))
    worker.github.errors["FetchWorkItem"] = {"type": "SERVICE_UNAVAILABLE", "message": "no"}
    with pytest.raises(GitHubUnavailable):
        worker.fetch(**failed_check("GitHubUnavailable"))
    assert read_rejections(worker.records, ["ONE"]) == {}


def test_rejected_card_is_passed_over_with_reason() -> None:
    worker = installation(FakeCard("ONE"), FakeCard("TWO"))
    fetched = worker.fetch(**failed_check("WorkItemInvalid"), report=CardReport("Blocked"))
    assert (taken(fetched), fetched.skipped) == ("TWO", (SkippedCard("ONE", "it broke"),))
    assert taken(worker.fetch()) == "TWO", "the next run remembers it"


def test_skipped_card_names_resources_of_environment() -> None:
    [skipped] = installation().fetch(**failed_check("Sandbox.Timedout")).skipped
    assert "aws logs tail /aws/lambda/kiro-worker-test-validate-work-item" in skipped.reason


def test_card_that_returns_before_its_rejection_is_recorded_is_taken() -> None:
    """The record follows the rejection, and a redrive or a retry after a rate limit writes it much later."""
    worker = installation(FakeCard("ONE", status_updated_at="2026-01-02T03:05:00Z"))
    rejected = failed_check("WorkItemInvalid")
    rejected["item"] = WorkItem("ONE", status_updated_at="2026-01-02T03:04:05Z")
    worker.fetch(**rejected, report=CardReport("Blocked"))
    assert taken(worker.fetch()) == "ONE"


def test_locked_card_is_passed_over_for_this_run_only() -> None:
    worker = installation(FakeCard("ONE"), FakeCard("TWO"))
    locked = failed_check("ScopedLockHeld", state="AcquireLock")
    assert taken(worker.fetch(**locked)) == "TWO"
    assert taken(worker.fetch()) == "ONE"


def test_failed_check_of_pinned_card_is_raised() -> None:
    worker = installation(FakeCard("ONE"), FakeCard("TWO"))
    with pytest.raises(KiroWorkerError, match="it broke") as caught:
        worker.fetch(**failed_check("GitHubAnswerInvalid", pinned=True))
    assert type(caught.value).__name__ == "GitHubAnswerInvalid"


@pytest.mark.parametrize(("in_event", "described"), [(1, 0), (0, 1)], ids=["context", "DescribeExecution"])
def test_redrive_tries_pinned_card_again(in_event: int, described: int) -> None:
    worker = installation(FakeCard("ONE"), FakeCard("TWO"))
    worker.redrives = described
    fetched = worker.fetch(**failed_check(pinned=True), redrive_count=in_event)
    assert (taken(fetched), fetched.pinned, fetched.skipped) == ("ONE", True, ())


def test_redrive_of_unpinned_run_keeps_passing_card_over() -> None:
    worker = installation(FakeCard("ONE"), FakeCard("TWO"))
    assert taken(worker.fetch(**failed_check(), redrive_count=1)) == "TWO"


def test_rejected_pinned_card_ends_run() -> None:
    worker = installation(FakeCard("ONE"), FakeCard("TWO"))
    fetched = worker.fetch(**failed_check("WorkItemInvalid", pinned=True), report=CardReport("Blocked"))
    assert (fetched.item, fetched.end) == (None, End.NOTHING_TO_DO)
    assert fetched.skipped == (SkippedCard("ONE", "it broke"),)
    assert worker.github.requests == []


@pytest.mark.parametrize(("before", "end"), [(MAX_SKIPPED - 2, None), (MAX_SKIPPED - 1, End.CARDS_PASSED_OVER)])
def test_run_passes_few_cards_over(before: int, end: End | None) -> None:
    worker = installation(FakeCard("TWO"))
    skipped = tuple(SkippedCard(f"SKIPPED_{number}") for number in range(before))
    fetched = worker.fetch(**failed_check(), skipped=skipped)
    assert (fetched.end, taken(fetched)) == (end, None if end else "TWO")
    assert len(worker.github.requests) == (end is None)
    if end:
        assert "passed over 10 cards" in fetched.reason


def test_recently_rejected_cards_are_counted() -> None:
    worker = installation(FakeCard("ONE"))
    worker.fetch(**failed_check())
    assert "1 rejected in the last 15 minutes" in worker.fetch().reason
    worker.now += 901
    assert taken(worker.fetch()) == "ONE"


def test_open_breaker_ends_run_before_any_request() -> None:
    worker = installation(FakeCard("ONE"))
    open_breaker(worker.records, "SecretPlaceholder", "the secret x still holds a placeholder")
    fetched = worker.fetch()
    assert (fetched.item, fetched.end) == (None, End.INSTALLATION_UNAVAILABLE)
    assert "SecretPlaceholder: the secret x still holds a placeholder" in fetched.reason
    assert "kiro-worker resume" in fetched.reason
    assert worker.github.requests == []


def test_one_probe_goes_on_after_wait() -> None:
    worker = installation(FakeCard("ONE"))
    open_breaker(worker.records, "AgentUnavailable", "no key")
    worker.now += 300
    assert taken(worker.fetch()) == "ONE"
    assert taken(worker.fetch()) == "ONE", "a retry of the probe's own step"
    assert worker.fetch(execution=OTHER).end is End.INSTALLATION_UNAVAILABLE
    worker.now += 599
    assert worker.fetch(execution=OTHER).end is End.INSTALLATION_UNAVAILABLE
    worker.now += 1
    assert taken(worker.fetch(execution=OTHER)) == "ONE"
    assert read_breaker(worker.records).retry_after == worker.now + 1200


@pytest.mark.parametrize("stop", ["breaker", "pause"])
def test_pinned_run_passes(stop: str) -> None:
    worker = installation(FakeCard("PINNED"))
    if stop == "pause":
        pause(worker.records, "ann", "")
    else:
        open_breaker(worker.records, "AgentUnavailable", "no key")
    assert taken(worker.fetch({"itemId": "PINNED"})) == "PINNED"
    resumed: dict[str, Any] = {"item": WorkItem("PINNED"), "failure": Failure("RunBuild", "AgentUnavailable")}
    assert taken(worker.fetch(redrive_count=1, **resumed)) == "PINNED", "a redrive"


@pytest.mark.parametrize("stop", ["breaker", "pause"])
def test_redrive_of_first_state_passes(stop: str) -> None:
    """A token was wrong, so that FetchWorkItem failed and opened the breaker; the redrive follows its repair."""
    worker = installation(FakeCard("ONE"))
    if stop == "pause":
        pause(worker.records, "ann", "")
    else:
        open_breaker(worker.records, "GitHubTokenInvalid", "401")
    assert taken(worker.fetch(redrive_count=1)) == "ONE"
    passed = worker.fetch(redrive_count=1, **failed_check())
    assert passed.end in (End.PAUSED, End.INSTALLATION_UNAVAILABLE), "the redrive was about the first card"


def test_probe_prefers_another_card() -> None:
    """One card must not keep the breaker open, whatever makes its failures look like those of the installation."""
    worker = installation(FakeCard("ONE"), FakeCard("TWO"))
    open_breaker(worker.records, "AgentUnavailable", "no key", "ONE")
    worker.now += 300
    assert taken(worker.fetch()) == "TWO"
    assert taken(worker.fetch(skipped=(SkippedCard("TWO"),))) == "ONE", "the only one that is left"


def test_long_reason_leaves_room_for_others() -> None:
    """Step Functions passes on at most 256 KiB, and a run passes over ten cards."""
    worker = installation(FakeCard("ONE"), FakeCard("TWO"))
    cause = json.dumps({"errorMessage": "x" * 100_000})
    document = {**failed_check(), "failure": Failure("ValidateWorkItem", "StepFailed", cause)}
    [skipped] = worker.fetch(**document).skipped
    assert skipped.reason == "x" * 1999 + "…"


def test_pause_wins_over_breaker_and_elects_no_probe() -> None:
    worker = installation(FakeCard("ONE"))
    open_breaker(worker.records, "AgentUnavailable", "no key")
    pause(worker.records, "ann@example.com", "release day")
    worker.now += 10_000
    fetched = worker.fetch()
    assert fetched.end is End.PAUSED
    assert "ann@example.com paused the queue at 2026-01-02 04:04 UTC: release day" in fetched.reason
    assert fetched.reason.endswith("How to fix: kiro-worker resume --environment test")
    assert read_breaker(worker.records).probe == ""
