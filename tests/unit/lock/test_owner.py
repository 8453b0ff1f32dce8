"""Whether an owner counts as running, for every answer of Step Functions and CodeBuild."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from kiro_worker.lock.owner import build_stopper, ending_of, execution_is_running, owner_is_running
from tests.support.lock_table import STRANGER

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
BUILD_ID = "kiro-worker-test:0b5f2c1e-1111-4222-8333-444455556666"
BUILD = f"arn:aws:codebuild:us-east-1:123456789012:build/{BUILD_ID}"
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


class Services:
    """Both clients with stubbed answers: no emulator denies access as IAM does."""

    def __init__(self) -> None:
        self.stepfunctions = boto3.client("stepfunctions", region_name="us-east-1")
        self.codebuild = boto3.client("codebuild", region_name="us-east-1")
        self._stubs = {"stepfunctions": Stubber(self.stepfunctions), "codebuild": Stubber(self.codebuild)}
        for stub in self._stubs.values():
            stub.activate()

    def answer(self, service: str, method: str, answer: dict[str, Any] | str) -> None:
        """Queue an answer, or the error of that code."""
        stub = self._stubs[service]
        if isinstance(answer, str):
            stub.add_client_error(method, answer)
        else:
            stub.add_response(method, answer)

    def require_all_used(self) -> None:
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()

    def is_running(self, owner: str) -> bool | None:
        return owner_is_running(self.stepfunctions, lambda: self.codebuild)(owner)


@pytest.fixture(scope="module")
def clients() -> Services:
    return Services()


@pytest.fixture
def services(clients: Services) -> Iterator[Services]:
    yield clients
    clients.require_all_used()


def execution(status: str, **more: str) -> dict[str, Any]:
    described = {"executionArn": EXECUTION, "stateMachineArn": "arn:x", "name": "one", "status": status, "startDate": 0}
    return described | more


EXECUTION_ANSWERS = [
    *((execution(status), True) for status in ("RUNNING", "PENDING_REDRIVE")),
    *((execution(status), False) for status in ENDED),
    ("ExecutionDoesNotExist", False),
    ("InvalidArn", False),
    ("AccessDeniedException", None),
    ("ValidationException", None),
]


@pytest.mark.parametrize(("answer", "running"), EXECUTION_ANSWERS)
def test_step_functions_decides_for_execution(services: Services, answer: Any, running: bool | None) -> None:
    services.answer("stepfunctions", "describe_execution", answer)
    assert services.is_running(EXECUTION) is running


@pytest.mark.parametrize(("answer", "running"), EXECUTION_ANSWERS)
def test_execution_status_is_read_alone(services: Services, answer: Any, running: bool | None) -> None:
    services.answer("stepfunctions", "describe_execution", answer)
    assert execution_is_running(services.stepfunctions)(EXECUTION) is running


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
def test_codebuild_decides_for_build(services: Services, owner: str, answer: Any, running: bool | None) -> None:
    services.answer("codebuild", "batch_get_builds", answer)
    assert services.is_running(owner) is running


@pytest.mark.parametrize("owner", [STRANGER, "arn:aws:states:another", "local-build-1", "a:b:c", ""])
def test_other_owners_cause_no_request(services: Services, owner: str) -> None:
    assert services.is_running(owner) is None


@pytest.mark.parametrize(
    ("service", "method", "owner"),
    [("stepfunctions", "describe_execution", EXECUTION), ("codebuild", "batch_get_builds", BUILD)],
)
def test_service_failure_ends_nothing(services: Services, service: str, method: str, owner: str) -> None:
    services.answer(service, method, "ThrottlingException")
    with pytest.raises(ClientError):
        services.is_running(owner)


@pytest.mark.parametrize("answer", [{}, "ResourceNotFoundException", "InvalidInputException"])
def test_ended_build_can_be_stopped(services: Services, answer: Any) -> None:
    services.answer("codebuild", "stop_build", answer)
    build_stopper(lambda: services.codebuild)(BUILD_ID)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "InternalServerError"])
def test_failure_to_stop_build_is_raised(services: Services, code: str) -> None:
    services.answer("codebuild", "stop_build", code)
    with pytest.raises(ClientError, match=code):
        build_stopper(lambda: services.codebuild)(BUILD_ID)


@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        *((execution(status), (status, "")) for status in ENDED),
        (execution("FAILED", error="TestsFailed", cause="2 failed"), ("TestsFailed", "2 failed")),
        (execution("TIMED_OUT", error="States.Timeout"), ("States.Timeout", "")),
        *((code, ("", "")) for code in ("AccessDeniedException", "ValidationException", "InvalidInputException")),
        *((code, ("", "")) for code in ("ExecutionDoesNotExist", "InvalidArn")),
    ],
)
def test_ending_is_error_or_status_and_cause(services: Services, answer: Any, ending: tuple[str, str]) -> None:
    services.answer("stepfunctions", "describe_execution", answer)
    assert ending_of(services.stepfunctions, EXECUTION) == ending


def test_unavailable_service_hides_no_ending(services: Services) -> None:
    services.answer("stepfunctions", "describe_execution", "ThrottlingException")
    with pytest.raises(ClientError):
        ending_of(services.stepfunctions, EXECUTION)


@pytest.mark.parametrize("owner", [BUILD, BUILD_ID, STRANGER, ""])
def test_only_executions_have_endings(services: Services, owner: str) -> None:
    assert ending_of(services.stepfunctions, owner) == ("", "")
