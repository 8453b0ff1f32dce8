"""Which card a run takes, which ones it passes over, and when it does not start at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from kiro_worker.config.model import Configuration
from kiro_worker.errors import GitHubUnavailable, KiroWorkerError, WorkItemMoved, WorkItemNotFound
from kiro_worker.fetched import Fetched
from kiro_worker.github.client import GitHubSession
from kiro_worker.github.selection import ExecutionInput
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.table import LockTable
from kiro_worker.models import Failure, WorkItem
from kiro_worker.records.breaker import open_breaker, pause, read_breaker
from kiro_worker.records.cards import read_rejections
from kiro_worker.records.days import note_spending
from kiro_worker.records.table import RecordsTable
from kiro_worker.state import CardReport, End, SkippedCard, StateDocument, StepEvent
from kiro_worker.work_queue import MAX_SKIPPED, QueueEdges, fetch_work_item
from tests.support.fake_github import Board, FakeCard, FakeGitHub, configuration, draft, issue, ready_repository
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
    locked: MemoryDynamoDB = field(default_factory=MemoryDynamoDB)
    redrives: int = 0
    ended: set[str] = field(default_factory=set)
    """The executions that have ended; all others run."""
    asked: list[str] = field(default_factory=list)
    """The executions that Step Functions was asked about."""
    changes: dict[str, Any] = field(default_factory=dict)
    """The keys of the configuration that are not as in all tests."""

    @property
    def records(self) -> RecordsTable:
        return RecordsTable(self.dynamodb, "records", lambda: self.now)  # type: ignore[arg-type]  # the same requests

    def describe_execution(self, **_: Any) -> dict[str, Any]:
        return {"redriveCount": self.redrives, "status": "ABORTED"}

    @property
    def locks(self) -> LockTable:
        return LockTable(self.locked, "locks", 600, self._is_running, lambda: self.now, lambda _: None)  # type: ignore[arg-type]  # the same requests

    def _is_running(self, execution: str) -> bool:
        self.asked.append(execution)
        return execution not in self.ended

    @property
    def configuration(self) -> Configuration:
        return configuration(**self.changes)

    def lock(self, key: str, *, owner: str = OTHER, card: str = "") -> None:
        """Let another execution hold the lock, or the slot, ``key``."""
        self.locks.acquire(key, owner, Subject(card))

    def fetch(self, request: Any = None, *, redrive_count: int = 0, execution: str = ARN, **document: Any) -> Fetched:
        stepfunctions: Any = self  # describes executions
        edges = QueueEdges(self.locks, self.records, stepfunctions, lambda: self.configuration, self._session)
        event = StepEvent(execution, redrive_count, request or {}, "FetchWorkItem", StateDocument(**document))
        return asyncio.run(fetch_work_item(event, ExecutionInput.parse(request or {}), edges))

    @asynccontextmanager
    async def _session(self, _: Configuration) -> AsyncIterator[GitHubSession]:
        async with self.github.open_session() as session:
            yield session


def installation(*cards: FakeCard, changes: dict[str, Any] | None = None, **board: Any) -> Installation:
    github = FakeGitHub(Board(list(cards), repository=ready_repository(), **board))
    return Installation(github, changes=changes or {})


def taken(fetched: Fetched) -> str | None:
    return fetched.item.id if fetched.item else None


def failed_check(error: str = "StepFailed", *, state: str = "ValidateWorkItem", pinned: bool = False) -> dict[str, Any]:
    """The parts of the state document after a check of the card ONE failed."""
    cause = json.dumps({"errorMessage": "it broke", "errorType": error})
    return {"item": WorkItem("ONE"), "pinned": pinned, "failure": Failure(state, error, cause)}


def test_first_waiting_card_is_taken() -> None:
    waiting = [FakeCard("MOVED", "Elsewhere"), FakeCard("NULL", None), FakeCard("ONE"), FakeCard("TWO")]
    worker = installation(FakeCard("GONE", archived=True), *waiting)
    fetched = worker.fetch()
    assert fetched == Fetched(item=fetched.item, waiting=5, oldest_seconds=3600, builds=0)
    assert taken(fetched) == "ONE"
    assert set(worker.github.sent()) == {"FetchWorkItem"}


def test_empty_queue_says_so() -> None:
    fetched = installation(FakeCard("MOVED", "In Review")).fetch()
    assert (fetched.item, fetched.end, fetched.reason) == (
        None,
        End.NOTHING_TO_DO,
        "no card is waiting in 'Ready' on the board acme/1\nHow to fix: move a card to 'Ready'",
    )


def test_hidden_cards_are_counted() -> None:
    fetched = installation(FakeCard("HIDDEN", content=None)).fetch()
    assert fetched.end is End.CARDS_PASSED_OVER
    assert "can be built now: 1 that the token cannot see" in fetched.reason
    assert "give the token access to the repositories" in fetched.reason


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
    assert (fetched.item, fetched.end) == (None, End.CARDS_PASSED_OVER)
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
        assert "the run tried 10 cards" in fetched.reason


def test_recently_rejected_cards_are_counted() -> None:
    worker = installation(FakeCard("ONE"))
    worker.fetch(**failed_check())
    fetched = worker.fetch()
    assert fetched.end is End.CARDS_PASSED_OVER
    assert "can be built now: 1 rejected a short while ago and not moved since" in fetched.reason
    assert fetched.to_dict()["passedOver"] == {
        "counts": {"Rejected": 1},
        "cards": [{"item": "ONE", "why": "Rejected", "detail": "it broke"}],
    }
    worker.now += 901
    assert taken(worker.fetch()) == "ONE"


def test_open_breaker_ends_run_before_any_request() -> None:
    worker = installation(FakeCard("ONE"))
    open_breaker(worker.records, "SecretPlaceholder", "the secret x still holds a placeholder")
    worker.lock(BASE_KEY)
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


def test_held_lock_ends_run_before_any_request() -> None:
    worker = installation(FakeCard("ONE"))
    worker.lock(BASE_KEY)
    fetched = worker.fetch()
    assert (fetched.item, fetched.end, fetched.builds) == (None, End.WORK_IN_PROGRESS_ELSEWHERE, 1)
    assert f"{BASE_KEY} is held by {OTHER}" in fetched.reason
    assert worker.github.requests == []


@pytest.mark.parametrize("taken_slots", [2, 3])
def test_run_starts_only_with_a_free_slot(taken_slots: int) -> None:
    worker = installation(FakeCard("ONE"), changes={"lockScope": "branch", "maxConcurrentBuilds": 3})
    for number in range(taken_slots):
        worker.lock(f"{BASE_KEY}#acme/shop#feature/{number}", owner=f"{OTHER}-{number}")
        worker.lock(f"{BASE_KEY}#slot-{number + 1}", owner=f"{OTHER}-{number}")
    fetched = worker.fetch()
    assert fetched.builds == taken_slots
    if taken_slots == 2:
        assert taken(fetched) == "ONE"
    else:
        assert (fetched.end, worker.github.requests) == (End.WORK_IN_PROGRESS_ELSEWHERE, [])
        assert "all 3 slots for concurrent builds are taken" in fetched.reason


@pytest.mark.parametrize(("held", "card"), [((3, 4, 5), "ONE"), ((2, 3, 4), "ONE"), ((1, 2, 5), None)])
def test_slots_beyond_a_lowered_limit_count_as_builds_but_take_no_other(held: Sequence[int], card: str | None) -> None:
    worker = installation(FakeCard("ONE"), changes={"lockScope": "branch", "maxConcurrentBuilds": 2})
    for number in held:
        worker.lock(f"{BASE_KEY}#slot-{number}", owner=f"{OTHER}-{number}")
    fetched = worker.fetch()
    assert (taken(fetched), fetched.builds) == (card, 3)


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        ("repository", "#acme/shop"),
        ("repository", "#Acme/Shop"),
        ("branch", "#acme/shop#feature/x"),
        ("branch", "#ACME/shop#feature/x"),
    ],
)
def test_card_behind_a_lock_is_passed_over(scope: str, key: str) -> None:
    free = issue("I_2", repository={"nameWithOwner": "acme/docs"})
    cards = [FakeCard(f"LOCKED_{number}") for number in range(11)]
    worker = installation(*cards, FakeCard("FREE", content=free), changes={"lockScope": scope})
    worker.lock(BASE_KEY + key)
    fetched = worker.fetch()
    assert (taken(fetched), fetched.builds) == ("FREE", 1)
    assert fetched.to_dict()["passedOver"]["counts"] == {"Locked": 11}
    assert worker.github.sent() == ["FetchWorkItem"]


def test_card_of_other_branch_is_taken() -> None:
    worker = installation(FakeCard("ONE", branch="feature/X"), changes={"lockScope": "branch"})
    worker.lock(f"{BASE_KEY}#acme/shop#feature/x")
    assert taken(worker.fetch()) == "ONE", "names of branches differ by case"


def test_card_without_branch_is_locked_by_its_own_run() -> None:
    worker = installation(FakeCard("ONE", branch=None), FakeCard("TWO", branch=None), changes={"lockScope": "branch"})
    worker.lock(f"{BASE_KEY}#acme/shop#feature/x", card="ONE")
    assert taken(worker.fetch()) == "TWO"


def test_own_lock_is_no_obstacle() -> None:
    """AcquireLock's answer was lost, and the run starts over."""
    worker = installation(FakeCard("ONE"))
    worker.lock(BASE_KEY, owner=ARN)
    assert taken(worker.fetch()) == "ONE"


def test_lock_with_pending_report_is_held() -> None:
    worker = installation(FakeCard("ONE"))
    lease = worker.locks.acquire(BASE_KEY, OTHER)
    worker.locks.release(lease, report_pending=True)
    assert worker.fetch().end is End.WORK_IN_PROGRESS_ELSEWHERE


def test_tick_reports_abandoned_run_and_goes_on() -> None:
    worker = installation(FakeCard("ONE"))
    worker.lock(BASE_KEY)
    worker.ended = {OTHER}
    assert taken(worker.fetch()) == "ONE"
    assert worker.locks.holders() == []


def test_chained_run_asks_nobody_about_other_runs() -> None:
    """It leaves them to the next tick: with many builds, each end of one would ask about all others."""
    worker = installation(FakeCard("ONE"))
    worker.lock(BASE_KEY)
    worker.ended = {OTHER}
    worker.asked.clear()
    assert worker.fetch({"trigger": "chain"}).end is End.WORK_IN_PROGRESS_ELSEWHERE
    assert worker.asked == []


def test_run_that_tries_another_card_asks_nobody_again() -> None:
    """With 100 builds, a tick that loses ten races for a card would otherwise ask a thousand times."""
    worker = installation(FakeCard("ONE"), FakeCard("TWO"), changes={"lockScope": "repository"})
    worker.lock(f"{BASE_KEY}#acme/other", card="OTHER")
    worker.asked.clear()
    assert taken(worker.fetch()) == "ONE"
    assert worker.asked == [OTHER]
    assert taken(worker.fetch(**failed_check("ScopedLockHeld", state="AcquireLock"))) == "TWO"
    assert worker.asked == [OTHER]


@pytest.mark.parametrize("request_", [{"itemId": "PINNED"}, {"trigger": "replay", "itemId": "PINNED"}])
def test_pinned_run_goes_on_while_a_lock_is_held(request_: dict[str, Any]) -> None:
    worker = installation(FakeCard("PINNED"))
    worker.lock(BASE_KEY)
    assert taken(worker.fetch(request_)) == "PINNED", "AcquireLock decides, and returns its card to the queue"


def test_spent_budget_of_installation_ends_run_before_any_request() -> None:
    worker = installation(FakeCard("ONE"), changes={"maxCreditsPerDay": 10})
    note_spending(worker.records, worker.now, "acme/shop", "build:1", 9.5)
    assert taken(worker.fetch()) == "ONE"
    note_spending(worker.records, worker.now, "acme/shop", "build:2", 0.5)
    worker.github.requests.clear()
    fetched = worker.fetch()
    assert (fetched.end, worker.github.requests) == (End.CARDS_PASSED_OVER, [])
    assert "the installation has spent 10 of its 10 credits of the day" in fetched.reason
    pinned: dict[str, Any] = {"item": WorkItem("ONE"), "failure": Failure("RunBuild", "TestsFailed")}
    assert taken(worker.fetch(redrive_count=1, **pinned)) == "ONE", "a person wants it"
    worker.now += 24 * 3600
    assert taken(worker.fetch()) == "ONE", "the next day"


def test_card_of_spent_repository_is_passed_over() -> None:
    other = issue("I_2", repository={"nameWithOwner": "acme/docs"})
    settings = {"acme/docs": {"maxCreditsPerDay": 100}}
    changes = {"repositoryDefaults": {"maxCreditsPerDay": 5}, "repositorySettings": settings}
    worker = installation(FakeCard("ONE"), FakeCard("TWO", content=other), changes=changes)
    for repository in ("Acme/Shop", "acme/docs"):
        note_spending(worker.records, worker.now, repository, "build:1", 5)
    fetched = worker.fetch()
    assert taken(fetched) == "TWO"
    [passed] = fetched.passed_over
    assert (passed.item, passed.why) == ("ONE", "BudgetSpent")
    assert passed.detail == "acme/shop has spent 5 of its 5 credits of the day (UTC)"


def test_queue_is_read_with_few_requests() -> None:
    """One for what stops the queue, one for the locks, one for the records of the cards."""
    limits = {"maxCreditsPerDay": 100, "repositoryDefaults": {"maxCreditsPerDay": 5}}
    worker = installation(*(FakeCard(f"CARD_{number}") for number in range(90)), changes=limits)
    calls: list[str] = []

    def counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(**request: Any) -> Any:
            calls.append(name)
            return method(**request)

        return call

    for table in (worker.dynamodb, worker.locked):
        for name in ("get_item", "batch_get_item", "scan", "update_item"):
            setattr(table, name, counted(name, getattr(table, name)))
    assert taken(worker.fetch()) == "CARD_0"
    assert calls == ["batch_get_item", "scan", "batch_get_item"]


def test_budget_of_repositories_says_nothing_of_draft() -> None:
    worker = installation(FakeCard("DRAFT", content=draft()), changes={"repositoryDefaults": {"maxCreditsPerDay": 5}})
    note_spending(worker.records, worker.now, "acme/shop", "build:1", 9)
    fetched = worker.fetch()
    assert taken(fetched) == "DRAFT", "the check then says on the board why it cannot be built"


def test_rejection_is_recorded_although_no_slot_is_free_after_it() -> None:
    changes = {"lockScope": "repository", "maxConcurrentBuilds": 1}
    worker = installation(FakeCard("ONE"), FakeCard("TWO"), changes=changes)
    worker.lock(f"{BASE_KEY}#slot-1")
    fetched = worker.fetch(**failed_check("WorkItemInvalid"), report=CardReport("Ready"))
    assert fetched.end is End.WORK_IN_PROGRESS_ELSEWHERE
    worker.locked.items.clear()
    assert taken(worker.fetch()) == "TWO"


def test_failed_check_is_not_recorded_before_github_answers() -> None:
    worker = installation(FakeCard("ONE"), FakeCard("TWO"))
    worker.lock(BASE_KEY)
    worker.fetch(**failed_check("GitHubUnavailable"))
    assert read_rejections(worker.records, ["ONE"]) == {}
