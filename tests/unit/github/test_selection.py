"""Which card a run selects, and the error for a card that it does not select."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kiro_worker.errors import InvalidExecutionInput, WorkItemInvalid, WorkItemMoved, WorkItemNotFound, WorkItemRefused
from kiro_worker.github.selection import MAX_SKIPPED, ExecutionInput, select_work_item, validate_selected
from kiro_worker.models import Work, WorkItem
from kiro_worker.state import StateDocument
from tests.support.fake_github import Board, FakeCard, FakeGitHub, configuration, issue, ready_repository

ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"


def github(*cards: FakeCard, **board: Any) -> FakeGitHub:
    return FakeGitHub(Board(list(cards), repository=ready_repository(), **board))


def select(fake: FakeGitHub, request: Any = None, **document: Any) -> str | None:
    """The ID of the selected card."""

    async def act() -> WorkItem | None:
        async with fake.open_session() as session:
            parsed = ExecutionInput.parse(request or {})
            return (await select_work_item(session, configuration(), parsed, StateDocument(**document))).item

    item = asyncio.run(act())
    return item.id if item else None


def test_first_waiting_card_is_selected() -> None:
    waiting = [FakeCard("MOVED", "Elsewhere"), FakeCard("NULL", None), FakeCard("ONE"), FakeCard("TWO")]
    fake = github(FakeCard("GONE", archived=True), *waiting)
    assert select(fake) == "ONE"
    assert fake.sent() == ["FetchWorkItem"]


def test_empty_queue_selects_nothing() -> None:
    assert select(github(FakeCard("MOVED", "In Review"))) is None


def test_skipped_card_is_passed_over() -> None:
    assert select(github(FakeCard("ONE"), FakeCard("TWO")), skipped=("ONE",)) == "TWO"


@pytest.mark.parametrize(("skipped", "selected"), [(MAX_SKIPPED - 1, "ONE"), (MAX_SKIPPED, None)])
def test_most_skipped_leaves_rest(skipped: int, selected: str | None) -> None:
    fake = github(FakeCard("ONE"))
    assert select(fake, skipped=tuple(f"SKIPPED_{number}" for number in range(skipped))) == selected
    assert len(fake.requests) == (selected is not None)


@pytest.mark.parametrize("status", ["Ready", "In Progress", "Blocked", "Failed"])
def test_pinned_card_is_selected(status: str) -> None:
    fake = github(FakeCard("ONE"), FakeCard("PINNED", status))
    assert select(fake, {"trigger": "manual", "itemId": "PINNED"}) == "PINNED"
    assert fake.sent() == ["ReadCard"]


def test_resumed_card_wins_over_input() -> None:
    fake = github(FakeCard("PINNED"), FakeCard("RESUMED", "Failed"))
    assert select(fake, {"itemId": "PINNED"}, item=WorkItem("RESUMED")) == "RESUMED"


@pytest.mark.parametrize("resumed", [False, True])
def test_skipped_pinned_card_is_not_repeated(resumed: bool) -> None:
    fake = github(FakeCard("ONE"), FakeCard("PINNED"))
    document: dict[str, Any] = {"item": WorkItem("PINNED")} if resumed else {}
    assert select(fake, {} if resumed else {"itemId": "PINNED"}, skipped=("PINNED",), **document) is None
    assert fake.requests == []


@pytest.mark.parametrize("status", ["In Review", "Elsewhere", "ready", None])
def test_moved_pinned_card_is_refused(status: str | None) -> None:
    with pytest.raises(WorkItemMoved) as caught:
        select(github(FakeCard("PINNED", status)), {"itemId": "PINNED"})
    assert f"is in '{status or ''}'" in caught.value.reason
    assert "only in 'Ready', 'In Progress', 'Failed', 'Blocked'" in caught.value.reason
    assert "move the card to 'Ready'" in caught.value.remedy


def test_archived_pinned_card_is_refused() -> None:
    with pytest.raises(WorkItemMoved, match="PINNED is archived"):
        select(github(FakeCard("PINNED", archived=True)), {"itemId": "PINNED"})


def test_unknown_pinned_card_is_named() -> None:
    with pytest.raises(WorkItemNotFound, match="'UNKNOWN'"):
        select(github(FakeCard("ONE")), {"itemId": "UNKNOWN"})


@pytest.mark.parametrize("board", [{"owner": "rival"}, {"number": 2}])
def test_card_of_other_board_is_refused(board: dict[str, Any]) -> None:
    with pytest.raises(WorkItemNotFound, match="the configured board is acme/1"):
        select(github(FakeCard("PINNED"), **board), {"itemId": "PINNED"})


def test_board_owner_ignores_case() -> None:
    assert select(github(FakeCard("PINNED"), owner="Acme"), {"itemId": "PINNED"}) == "PINNED"


def test_empty_input_is_a_scheduled_tick() -> None:
    assert ExecutionInput.parse({}) == ExecutionInput(trigger="schedule", itemId=None)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"itemid": "PVTI_1"}, "itemid: "),
        ({"trigger": "cron"}, "trigger: "),
        ({"itemId": 7}, "itemId: "),
        ({"itemId": "x; curl"}, "itemId: "),
        ({"skipped": [], "item": {}}, "skipped: Extra inputs are not permitted; item: "),
        ([], "input: "),
        (None, "input: "),
    ],
    ids=str,
)
def test_wrong_input_names_every_key(document: Any, problem: str) -> None:
    with pytest.raises(InvalidExecutionInput) as caught:
        ExecutionInput.parse(document)
    assert problem in caught.value.reason
    assert "start it with {}" in caught.value.remedy


def validate(item: WorkItem, request: Any, *, ready: bool = False) -> Work:
    async def act() -> Work:
        repository = ready_repository() if ready else None
        async with FakeGitHub(Board(repository=repository)).open_session() as session:
            return await validate_selected(session, configuration(), ExecutionInput.parse(request), item, lambda: None)

    return asyncio.run(act())


def card(status: str = "Ready", repository: str = "acme/shop") -> WorkItem:
    return WorkItem("PVTI_1", content_type="Issue", repository=repository, branch="feature/x", status=status)


def test_ready_card_becomes_work() -> None:
    work = validate(card(), {}, ready=True)
    assert (work.repository, work.branch, work.commit) == ("acme/shop", "feature/x", "a" * 40)
    assert (work.pull_request, work.pull_request_id, work.base_branch, work.open_tasks) == (7, "PR_1", "main", 1)


@pytest.mark.parametrize("repository", ["Acme/Shop", "ACME/shop"])
def test_repository_name_ignores_case(repository: str) -> None:
    assert validate(card(repository=repository), {}, ready=True).repository == "acme/shop", "GitHub's own spelling"


def test_unready_queued_card_is_rejected() -> None:
    with pytest.raises(WorkItemInvalid, match="acme/shop is not visible to the token"):
        validate(card(), {"itemId": "PVTI_2"})


@pytest.mark.parametrize(
    ("status", "request_"), [("Ready", {"itemId": "PVTI_1"}), ("Failed", {}), ("Failed", {"itemId": "PVTI_1"})]
)
def test_card_outside_queue_is_refused(status: str, request_: Any) -> None:
    with pytest.raises(WorkItemRefused, match="PVTI_1 was not touched: the repository acme/shop is not visible"):
        validate(card(status), request_)


def test_issue_is_selected_with_its_repository() -> None:
    fake = github(FakeCard("ONE", content=issue(repository={"nameWithOwner": "Acme/Shop"})))

    async def act() -> WorkItem | None:
        async with fake.open_session() as session:
            found = await select_work_item(session, configuration(), ExecutionInput.parse({}), StateDocument())
            return found.item

    item = asyncio.run(act())
    assert item
    assert (item.repository, item.number, item.content_id, item.title) == ("Acme/Shop", 1, "I_1", "An issue")
