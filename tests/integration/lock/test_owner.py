"""Whether an owner may still act, as Step Functions and CodeBuild say it."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from kiro_worker.lock.owner import ending_of, owner_is_running

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
BUILD_ID = "kiro-worker-test:0b5f2c1e-1111-4222-8333-444455556666"
BUILD = f"arn:aws:codebuild:us-east-1:123456789012:build/{BUILD_ID}"


class Services:
    """Both clients, with the answers that the test says they give: no emulator refuses as IAM does."""

    def __init__(self, aws: dict[str, Any]) -> None:
        self.states, self.codebuild = boto3.client("stepfunctions", **aws), boto3.client("codebuild", **aws)
        self._stubs = {"states": Stubber(self.states), "codebuild": Stubber(self.codebuild)}
        for stub in self._stubs.values():
            stub.activate()

    def answer(self, service: str, method: str, answer: dict[str, Any] | str) -> None:
        stub = self._stubs[service]
        if isinstance(answer, str):
            stub.add_client_error(method, answer)
        else:
            stub.add_response(method, answer)

    def is_running(self, owner: str) -> bool | None:
        return owner_is_running(self.states, lambda: self.codebuild)(owner)


@pytest.fixture
def services(aws: dict[str, Any]) -> Services:
    return Services(aws)


def execution(status: str) -> dict[str, Any]:
    return {"executionArn": EXECUTION, "stateMachineArn": "arn:x", "name": "one", "status": status, "startDate": 0}


@pytest.mark.parametrize(
    ("answer", "running"),
    [
        *((execution(status), True) for status in ("RUNNING", "PENDING_REDRIVE")),
        *((execution(status), False) for status in ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")),
        ("ExecutionDoesNotExist", False),
        ("InvalidArn", False),
        ("AccessDeniedException", None),
    ],
)
def test_step_functions_knows_of_an_execution(services: Services, answer: Any, running: bool | None) -> None:
    services.answer("states", "describe_execution", answer)
    assert services.is_running(EXECUTION) is running


@pytest.mark.parametrize("owner", [BUILD, BUILD_ID])
@pytest.mark.parametrize(
    ("answer", "running"),
    [
        ({"builds": [{"buildStatus": "IN_PROGRESS"}]}, True),
        *(({"builds": [{"buildStatus": status}]}, False) for status in ("SUCCEEDED", "FAILED", "FAULT", "STOPPED")),
        ({"builds": [], "buildsNotFound": [BUILD_ID]}, False),
        ("AccessDeniedException", None),
        ("InvalidInputException", None),
    ],
)
def test_codebuild_knows_of_a_build(services: Services, owner: str, answer: Any, running: bool | None) -> None:
    services.answer("codebuild", "batch_get_builds", answer)
    assert services.is_running(owner) is running


@pytest.mark.parametrize("owner", ["somebody", "arn:aws:states:another", "local-build-1", "a:b:c", ""])
def test_nobody_is_asked_about_an_owner_of_another_kind(services: Services, owner: str) -> None:
    assert services.is_running(owner) is None


def test_a_service_that_does_not_answer_is_not_taken_for_an_end(services: Services) -> None:
    services.answer("states", "describe_execution", "ThrottlingException")
    with pytest.raises(ClientError):
        services.is_running(EXECUTION)


@pytest.mark.parametrize("answer", ["AccessDeniedException", "ExecutionDoesNotExist"])
def test_how_an_execution_ended_that_is_not_ours_to_ask_about_is_not_known(services: Services, answer: str) -> None:
    services.answer("states", "describe_execution", answer)
    assert ending_of(services.states, EXECUTION) == ("", "")


def test_how_anything_but_an_execution_ended_is_not_asked(services: Services) -> None:
    assert ending_of(services.states, BUILD) == ("", "")
