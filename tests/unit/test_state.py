"""The state document: every part typed, unknown keys ignored, wrong shapes rejected."""

from __future__ import annotations

from typing import Any

import pytest

from kiro_worker.errors import InvalidExecutionInput
from kiro_worker.models import BuildResult, Failure, Lease, WorkItem
from kiro_worker.state import CardReport, HeldLock, SkippedCard, StateDocument, StepEvent, require

PARTS = ("item", "work", "lease", "build", "failure", "report", "held", "endedAt", "skipped")
LEASE = {"lockKey": "lock", "owner": "arn", "fence": 5, "expiresAt": 9}


def test_empty_document_knows_nothing() -> None:
    assert StateDocument.parse({}) == StateDocument()


@pytest.mark.parametrize("document", [[], "text", 7, None, True, {"later": 1}])
def test_other_json_is_an_empty_document(document: Any) -> None:
    assert StateDocument.parse(document) == StateDocument()


def test_every_part_is_typed() -> None:
    variables = [{"Name": "OUTCOME", "Value": "Succeeded"}, {"Name": "RESULT_FENCE", "Value": "8"}]
    document = {
        "request": {"trigger": "schedule"},
        "skipped": [{"item": "PVTI_0", "reason": "no branch"}],
        "item": {"id": "PVTI_1", "contentType": "Issue", "addedLater": 1},
        "pinned": True,
        "lease": LEASE,
        "build": {"id": "b:1", "arn": "arn:b", "log": "https://l", "variables": variables},
        "failure": {"state": "RunBuild", "error": "States.Timeout", "cause": "", "redriveCount": 1},
        "report": {"status": "In Review", "commentUrl": "https://c", "commit": "b"},
        "reportPending": True,
        "held": {"lockKey": "lock", "workItemId": "PVTI_1", "repository": "acme/shop", "branch": "feature/x"},
        "endedAt": 1763900000123,
    }
    assert StateDocument.parse(document) == StateDocument(
        request={"trigger": "schedule"},
        skipped=(SkippedCard("PVTI_0", "no branch"),),
        pinned=True,
        item=WorkItem("PVTI_1", content_type="Issue"),
        lease=Lease("lock", "arn", 5, 9),
        build=BuildResult(build_id="b:1", status="SUCCEEDED", log_url="https://l", outcome="Succeeded", fence=8),
        failure=Failure("RunBuild", "States.Timeout", "", 1),
        report=CardReport("In Review", "https://c", "b"),
        report_pending=True,
        held=HeldLock("lock", "PVTI_1", "acme/shop", "feature/x"),
        ended_at=1763900000123,
    )


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("value", [None, "text", [7], [[]]], ids=str)
def test_wrong_shape_names_its_key(part: str, value: Any) -> None:
    with pytest.raises(InvalidExecutionInput, match=f"^{part} in the state document"):
        StateDocument.parse({part: value})


@pytest.mark.parametrize(("part", "value"), [("item", {}), ("work", {"branch": "x"}), ("lease", {"owner": "arn"})])
def test_incomplete_part_names_its_key(part: str, value: Any) -> None:
    with pytest.raises(InvalidExecutionInput, match=f"^{part} in the state document"):
        StateDocument.parse({part: value})


@pytest.mark.parametrize("value", [False, None, "true", 1])
def test_report_pending_is_true_only(value: Any) -> None:
    assert StateDocument.parse({"reportPending": value}).report_pending is False


def test_event_is_typed() -> None:
    event = {
        "executionArn": "arn",
        "redriveCount": 2,
        "executionInput": {"itemId": "PVTI_1"},
        "state": "FetchWorkItem",
        "document": {"item": {"id": "PVTI_1"}},
    }
    document = StateDocument(item=WorkItem("PVTI_1"))
    assert StepEvent.parse(event) == StepEvent("arn", 2, {"itemId": "PVTI_1"}, "FetchWorkItem", document)


def test_values_keep_their_json() -> None:
    assert Lease("lock", "arn", 5, 9).to_dict() == LEASE | {"slot": ""}
    assert CardReport("Failed", comment_url="").to_dict() == {"status": "Failed", "commentUrl": ""}
    assert CardReport("In Progress").to_dict() == {"status": "In Progress"}


def test_missing_part_is_named() -> None:
    assert require(7, "work") == 7
    with pytest.raises(LookupError, match="the state document has no work"):
        require(None, "work")
