from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fake_github import FakeGitHub
from tests.unit.functions.conftest import ARN, WORK, Aws, Call


def document(**exported: str) -> dict[str, Any]:
    variables = [{"Name": name, "Value": value} for name, value in exported.items()]
    build = {"Id": "b:1", "BuildStatus": "FAILED", "ExportedEnvironmentVariables": variables}
    return {
        "item": {"id": "CARD", "repository": "acme/shop", "branch": "feature/x"},
        "work": WORK,
        "lease": {"lockKey": "lock", "owner": ARN, "fence": 5, "expiresAt": 9},
        "failure": {"state": "RunBuild", "error": "States.TaskFailed", "cause": json.dumps({"Build": build})},
    }


@pytest.mark.usefixtures("aws")
def test_outcome_becomes_failure(call: Call) -> None:
    found = call("ReadBuildResult", document(OUTCOME="TestsFailed", OUTCOME_REASON="exit code 1"))
    assert (found["repeat"], found["failure"]["error"], found["failure"]["cause"]) == (
        False,
        "TestsFailed",
        "exit code 1",
    )


def test_record_and_branch_become_success(call: Call, aws: Aws, github: FakeGitHub) -> None:
    aws.items = [
        {
            "recordKey": {"S": f"run#{ARN}"},
            "repository": {"S": "acme/shop"},
            "branch": {"S": "feature/x"},
            "workItemId": {"S": "CARD"},
            "commits": {"SS": ["b" * 40]},
        }
    ]
    github.board.history = ["b" * 40]
    found = call("ReadBuildResult", document(OUTCOME="WorkerFailed"))
    assert "failure" not in found
    assert {"Name": "RESULT_COMMIT", "Value": "b" * 40} in found["build"]["variables"]
