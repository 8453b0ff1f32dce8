"""The execution's input, and the error for a selected card that is not ready."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kiro_worker.errors import InvalidExecutionInput, WorkItemInvalid, WorkItemRefused
from kiro_worker.github.selection import ExecutionInput, validate_selected
from kiro_worker.models import Work, WorkItem
from tests.support.fake_github import Board, FakeGitHub, configuration, ready_repository


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
            return await validate_selected(
                session, configuration(), ExecutionInput.parse(request), item, lambda: None, lambda _: None
            )

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
