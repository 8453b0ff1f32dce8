from __future__ import annotations

import json
from typing import Any

import pytest

from kiro_worker.errors import ConfigurationMissing, InvalidExecutionInput
from tests.support.fake_github import FakeCard, FakeGitHub, issue, ready_repository
from tests.unit.functions.conftest import ARN, Aws, Call

DEAD = f"{ARN}-dead"


def test_next_card_is_returned(call: Call, github: FakeGitHub) -> None:
    github.board.cards = [FakeCard("CARD", content=issue())]
    assert call("FetchWorkItem", {}) == {
        "item": {
            "id": "CARD",
            "title": "An issue",
            "contentType": "Issue",
            "contentId": "I_1",
            "url": "https://github.example/acme/shop/issues/1",
            "repository": "acme/shop",
            "number": 1,
            "status": "Ready",
            "branch": "feature/x",
            "state": "OPEN",
            "linkedBranches": (),
            "spec": "",
            "statusUpdatedAt": "2026-01-02T03:04:05Z",
        },
        "pinned": False,
        "skipped": [],
        "end": None,
        "reason": "",
        "passedOver": {"counts": {}, "cards": []},
    }
    assert github.sent() == ["FetchWorkItem"]


def test_empty_queue_is_a_null_item(call: Call, github: FakeGitHub) -> None:
    fetched = call("FetchWorkItem", {})
    assert (fetched["item"], fetched["end"]) == (None, "NothingToDo")


def metrics(output: str) -> dict[str, float]:
    """The metrics in the lines that a step wrote, by name and, if it has one, by its reason."""
    lines = [json.loads(line) for line in output.splitlines() if '"_aws"' in line]
    return {
        metric["Name"] + (f" {line['why']}" if "why" in line else ""): line[metric["Name"]][0]
        for line in lines
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }


def test_queue_is_measured(call: Call, github: FakeGitHub, aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    github.board.cards = [FakeCard("HIDDEN", content=None), FakeCard("LOCKED"), FakeCard("MINE", branch="feature/y")]
    aws.configuration |= {"lockScope": "branch"}
    aws.items = [{"lockKey": {"S": "work-item-processor-lock#acme/shop#feature/x"}, "owner": {"S": f"{ARN}-other"}}]
    assert call("FetchWorkItem", {})["item"]["id"] == "MINE"
    found = metrics(capsys.readouterr().out)
    assert found.pop("OldestCardAge") > 0
    assert found == {"CardsWaiting": 3, "SlotsInUse": 1, "CardsPassedOver Locked": 1, "CardsPassedOver Hidden": 1}


def test_run_that_read_no_board_measures_none(
    call: Call, github: FakeGitHub, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.items = [{"lockKey": {"S": "work-item-processor-lock"}, "owner": {"S": f"{ARN}-other"}}]
    assert call("FetchWorkItem", {})["end"] == "WorkInProgressElsewhere"
    assert metrics(capsys.readouterr().out) == {"SlotsInUse": 1}


def test_input_pins_card(call: Call, github: FakeGitHub) -> None:
    github.board.cards = [FakeCard("CARD"), FakeCard("PINNED", "Blocked")]
    request = {"trigger": "manual", "itemId": "PINNED"}
    assert call("FetchWorkItem", request, execution_input=request)["item"]["id"] == "PINNED"


def test_redriven_run_keeps_its_card(call: Call, github: FakeGitHub) -> None:
    github.board.cards = [FakeCard("CARD"), FakeCard("RESUMED", "Failed")]
    document = {"request": {}, "skipped": [], "item": {"id": "RESUMED"}, "failure": {"state": "RunBuild"}}
    assert call("FetchWorkItem", document)["item"]["id"] == "RESUMED"


def test_skipped_card_is_passed_over(call: Call, github: FakeGitHub) -> None:
    github.board.cards = [FakeCard("ONE"), FakeCard("TWO")]
    assert call("FetchWorkItem", {"skipped": [{"item": "ONE", "reason": "no branch"}]})["item"]["id"] == "TWO"


@pytest.mark.parametrize(
    "document",
    [{"item": "PVTI_1"}, {"item": 7}, {"item": None}, {"item": {}}, {"skipped": 7}, {"skipped": [7]}, {"build": []}],
    ids=str,
)
def test_wrong_shape_is_invalid_input(call: Call, github: FakeGitHub, document: Any) -> None:
    with pytest.raises(InvalidExecutionInput, match=r"start it with \{\}"):
        call("FetchWorkItem", document, execution_input=document)
    assert github.requests == []


@pytest.mark.parametrize("document", [[], "text", 7, None, {"itemid": "PVTI_1"}], ids=str)
def test_input_outside_contract_is_invalid(call: Call, github: FakeGitHub, document: Any) -> None:
    execution_input = document if document is not None else "null"
    with pytest.raises(InvalidExecutionInput):
        call("FetchWorkItem", document, execution_input=execution_input)
    assert github.requests == []


def test_abandoned_run_is_reported_first(call: Call, github: FakeGitHub, aws: Aws) -> None:
    github.board.cards = [FakeCard("LEFT", "In Progress", content=issue()), FakeCard("NEXT")]
    github.board.repository = ready_repository()
    github.board.comments = {"PR_1": []}
    aws.items = [
        {
            "lockKey": {"S": "work-item-processor-lock"},
            "owner": {"S": DEAD},
            "workItemId": {"S": "LEFT"},
            "repository": {"S": "acme/shop"},
            "branch": {"S": "feature/x"},
        }
    ]
    aws.executions[DEAD] = {"status": "ABORTED", "cause": "stopped by hand"}
    assert call("FetchWorkItem", {})["item"]["id"] == "NEXT"
    assert github.board.card("LEFT").status == "Failed"
    [comment] = github.board.comments["PR_1"]
    assert "**ABORTED**" in comment.body
    assert "stopped by hand" in comment.body
    assert [update["Key"] for update in aws.updates] == [{"lockKey": {"S": "work-item-processor-lock"}}]


def test_missing_variables_are_named(call: Call, github: FakeGitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCKS_TABLE_NAME")
    monkeypatch.setenv("GITHUB_TOKEN_SECRET_NAME", "")
    with pytest.raises(ConfigurationMissing, match="missing or empty: LOCKS_TABLE_NAME, GITHUB_TOKEN_SECRET_NAME"):
        call("FetchWorkItem", {})
