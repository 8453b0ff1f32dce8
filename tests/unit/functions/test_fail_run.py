from __future__ import annotations

import json
from typing import Any

import pytest

from kiro_worker.errors import KiroWorkerError
from tests.unit.functions.conftest import ARN, Aws, Call

CAUSE = json.dumps({"errorMessage": "the board has no status 'Done'", "errorType": "StatusNotFound"})


def failure(**changes: Any) -> dict[str, Any]:
    return {"failure": {"state": "MarkInProgress", "error": "StatusNotFound", "cause": CAUSE, **changes}}


def test_original_error_keeps_name_and_message(call: Call) -> None:
    with pytest.raises(KiroWorkerError, match="the board has no status 'Done'") as caught:
        call("FailRun", failure())
    assert type(caught.value).__name__ == "StatusNotFound"


@pytest.mark.parametrize(
    ("recorded", "context", "described", "resumes"),
    [(0, 0, 0, False), (0, 1, 0, True), (0, 0, 1, True), (1, 1, 1, False), (1, 0, 2, True), (2, 1, 1, False)],
)
def test_only_new_redrive_resumes(
    call: Call, aws: Aws, recorded: int, context: int, described: int, resumes: bool
) -> None:
    aws.executions[ARN] = {"redriveCount": described}
    document = failure(redriveCount=recorded)
    if resumes:
        assert call("FailRun", document, redrive_count=context) == {"resumed": True}
    else:
        with pytest.raises(KiroWorkerError):
            call("FailRun", document, redrive_count=context)


def test_reserved_error_prefix_is_dropped(call: Call) -> None:
    with pytest.raises(KiroWorkerError) as caught:
        call("FailRun", failure(error="States.Timeout"))
    assert type(caught.value).__name__ == "Timeout"


def test_build_fails_with_its_outcome(call: Call) -> None:
    variables = [{"Name": "OUTCOME", "Value": "TestsFailed"}, {"Name": "OUTCOME_REASON", "Value": "exit code 1"}]
    build = {"Id": "b:1", "BuildStatus": "FAILED", "ExportedEnvironmentVariables": variables}
    with pytest.raises(KiroWorkerError, match="exit code 1") as caught:
        call("FailRun", failure(error="States.TaskFailed", cause=json.dumps({"Build": build})))
    assert type(caught.value).__name__ == "TestsFailed"
