from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kiro_worker.records.summaries import DoneTask, RunSummary
from tests.support.fake_github import FakeCard, FakeGitHub, issue, ready_repository
from tests.unit.functions.conftest import ARN, WORK, Aws, Call

ROOT = Path(__file__).parents[3]
DOCUMENT = {
    "request": {},
    "skipped": [],
    "item": {"id": "CARD", "status": "Ready", "repository": "acme/shop", "branch": "feature/x"},
    "work": WORK,
    "build": {"id": "b:1", "arn": "arn:b", "log": "", "variables": [{"Name": "RESULT_COMMIT", "Value": "b" * 40}]},
    "failure": {"state": "RunBuild", "error": "TestsFailed", "cause": "", "redriveCount": 0, "owner": "repository"},
}
URL = "https://github.example/comments/PR_1-1"


@pytest.mark.parametrize(
    ("state", "result"),
    [
        ("RejectWorkItem", {"status": "Blocked", "commentUrl": URL}),
        ("MarkInProgress", {"status": "In Progress"}),
        ("MarkInReview", {"status": "In Review", "commentUrl": URL, "commit": "b" * 40}),
        ("MarkFailed", {"status": "Failed", "commentUrl": URL}),
    ],
)
def test_state_name_selects_move(call: Call, github: FakeGitHub, state: str, result: dict[str, Any]) -> None:
    github.board.cards = [FakeCard("CARD", content=issue())]
    github.board.repository = ready_repository()
    github.board.comments = {"I_1": [], "PR_1": []}
    assert call(state, DOCUMENT) == result
    assert github.board.card("CARD").status == result["status"]


@pytest.mark.parametrize("state", ["MarkInReview", "MarkFailed"])
def test_report_shows_what_run_recorded(call: Call, aws: Aws, github: FakeGitHub, state: str) -> None:
    github.board.cards = [FakeCard("CARD", "In Progress", content=issue())]
    github.board.repository = ready_repository()
    github.board.comments = {"I_1": [], "PR_1": []}
    summary = RunSummary((DoneTask("1 Parse", "d" * 40),)).to_json()
    aws.items = [{"recordKey": {"S": f"run#{ARN}"}, "summary": {"S": summary}}]
    call(state, DOCUMENT)
    assert "- `1 Parse` in " in github.board.comments["PR_1"][0].body


def test_clean_up_reports_on_held_branch(call: Call, github: FakeGitHub) -> None:
    github.board.cards = [FakeCard("CARD", "In Progress", content=issue())]
    github.board.repository = ready_repository()
    github.board.comments = {"I_1": [], "PR_1": []}
    document = {
        "item": {"id": "CARD", "title": "", "contentType": ""},
        "held": {"lockKey": "lock", "workItemId": "CARD", "repository": "acme/shop", "branch": "feature/x"},
        "failure": {"state": "", "error": "ABORTED", "cause": "", "redriveCount": 0},
    }
    assert call("MarkFailed", document) == {"status": "Failed", "commentUrl": URL}
    assert "**ABORTED**" in github.board.comments["PR_1"][0].body


def test_every_calling_state_has_move(handler: ModuleType) -> None:
    calling = set()
    for name in ("work_item", "clean_up"):
        states = json.loads((ROOT / "statemachine" / f"{name}.asl.json").read_text("utf-8"))["States"]
        calling |= {state for state, body in states.items() if "${UpdateStatusFunctionArn}" in json.dumps(body)}
    assert set(handler.MOVES) == calling
