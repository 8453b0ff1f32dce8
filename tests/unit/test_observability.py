from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kiro_worker.errors import WorkItemInvalid
from kiro_worker.observability import step
from kiro_worker.state import StepEvent

ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"


@dataclass
class Context:
    aws_request_id: str = "request-1"
    function_name: str = "kiro-worker-test-validate-work-item"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:x"


@pytest.fixture(autouse=True)
def powertools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "validate_work_item")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "KiroWorker")


def call(run: Any) -> Any:
    return invoke(step(run), "ValidateWorkItem")


def invoke(handler: Any, state: str) -> Any:
    event = {
        "executionArn": ARN,
        "redriveCount": 0,
        "executionInput": {},
        "state": state,
        "document": {"item": {"id": "PVTI_1"}},
    }
    return handler(event, Context())


def test_every_line_has_context(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(lambda event: {"state": event.state}) == {"state": "ValidateWorkItem"}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["step started", "step finished"]
    for line in lines:
        assert (line["execution"], line["item"], line["step"]) == (ARN, "PVTI_1", "ValidateWorkItem")


def test_error_is_counted_and_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(event: StepEvent) -> dict[str, Any]:
        raise WorkItemInvalid("the branch ghp_0123456789abcdefghij is missing", "push it")

    with pytest.raises(WorkItemInvalid, match="push it") as caught:
        call(refuse)
    output = capsys.readouterr().out
    assert "ghp_0123" not in str(caught.value) + output
    metric = next(line for text in output.splitlines() if "_aws" in (line := json.loads(text)))
    assert (metric["WorkItemInvalid"], metric["step"]) == ([1.0], "ValidateWorkItem")


def test_long_reason_fits_into_state_and_keeps_fix() -> None:
    """A state's output of more than 256 KiB ends the execution, and no Catch handles that."""

    def refuse(event: StepEvent) -> dict[str, Any]:
        raise WorkItemInvalid("ä" * 300_000, "rename them")

    with pytest.raises(WorkItemInvalid) as caught:
        call(refuse)
    assert len(str(caught.value).encode()) < 64_000
    assert str(caught.value).endswith("ä…\nHow to fix: rename them")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("ThrottlingException", "AwsUnavailable"),
        ("AccessDeniedException", "AwsAccessDenied"),
        ("ResourceNotFoundException", "AwsResourceMissing"),
        ("ValidationException", "StepFailed"),
    ],
)
def test_error_of_aws_has_own_name(capsys: pytest.CaptureFixture[str], code: str, name: str) -> None:
    def ask(_event: StepEvent) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": code, "Message": "ghp_0123456789abcdefghij"}}, "GetItem")

    with pytest.raises(Exception, match=code) as caught:
        call(ask)
    assert type(caught.value).__name__ == name
    assert "ghp_0123" not in str(caught.value) + capsys.readouterr().out


def test_warm_function_counts_under_its_current_state(capsys: pytest.CaptureFixture[str]) -> None:
    @step
    def fail_in_review(event: StepEvent) -> dict[str, Any]:
        if event.state == "MarkInReview":
            raise WorkItemInvalid("no")
        return {}

    invoke(fail_in_review, "MarkInProgress")
    with pytest.raises(WorkItemInvalid):
        invoke(fail_in_review, "MarkInReview")
    invoke(fail_in_review, "MarkFailed")
    metrics = [line for text in capsys.readouterr().out.splitlines() if "_aws" in (line := json.loads(text))]
    assert [metric["step"] for metric in metrics] == ["MarkInReview"]
