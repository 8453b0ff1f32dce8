"""How an error of Step Functions or Lambda is explained."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.models import Failure
from kiro_worker.names import Names
from kiro_worker.outcomes import FaultOwner
from kiro_worker.ownership import owner_of
from kiro_worker.platform_errors import FUNCTIONS, explain_platform_error

ROOT = Path(__file__).parents[2]
LOGS = "/aws/lambda/kiro-worker-<env>-update-status"
TOKEN = "ghp_" + "0a1b" * 9


def test_every_state_names_its_function() -> None:
    for machine in ("work_item", "clean_up"):
        states = json.loads((ROOT / "statemachine" / f"{machine}.asl.json").read_text("utf-8"))["States"]
        called = {
            name: re.sub(r"(?<!^)(?=[A-Z])", "-", function.strip("${}").removesuffix("FunctionArn")).lower()
            for name, state in states.items()
            if (function := state.get("Arguments", {}).get("FunctionName"))
        }
        assert called
        assert called.items() <= FUNCTIONS.items()
    for name in FUNCTIONS.values():
        assert (ROOT / "functions" / name.replace("-", "_")).is_dir()
        assert Names("<env>").function(name.replace("-", "_")) == f"kiro-worker-<env>-{name}"


@pytest.mark.parametrize(
    ("error", "message", "owner", "parts"),
    [
        (
            "Sandbox.Timedout",
            "Task timed out after 60.00 seconds",
            "service",
            ("its own timeout", "60.00 seconds", LOGS),
        ),
        ("States.Timeout", "", "service", ("the state MarkInReview exceeded its timeout", LOGS)),
        ("Timeout", "", "service", ("the state MarkInReview exceeded its timeout", LOGS)),
        ("States.HeartbeatTimeout", "", "service", ("exceeded its timeout", LOGS)),
        ("Runtime.ImportModuleError", "No module named 'x'", "service", ("cannot be loaded", "'x'", "make deploy")),
        ("Runtime.HandlerNotFound", "", "service", ("cannot be loaded", "make deploy")),
        ("Runtime.OutOfMemory", "", "service", ("ran out of memory", LOGS)),
        ("Runtime.ExitError", "Runtime exited: signal: killed", "service", ("crashed", "signal: killed", LOGS)),
        ("Lambda.Unknown", "", "service", ("does not say why", LOGS)),
        ("Lambda.TooManyRequestsException", "Rate Exceeded.", "service", ("Rate Exceeded.", "Service Quotas")),
        ("Lambda.ServiceException", "", "service", ("did not run", "redrive the execution")),
        ("Lambda.AWSLambdaException", "", "service", ("did not run",)),
        ("Lambda.SdkClientException", "", "service", ("its answer was lost",)),
        ("Lambda.ClientExecutionTimeoutException", "", "service", ("its answer was lost",)),
        ("Lambda.ResourceNotFoundException", "Function not found", "installation", ("does not exist", "make deploy")),
        ("Lambda.KMSAccessDeniedException", "", "installation", ("the KMS key", "make deploy")),
        ("Lambda.KMSDisabledException", "", "installation", ("the KMS key",)),
        ("Lambda.AccessDeniedException", "", "installation", ("lacks a permission", "make deploy")),
        ("AccessDeniedException", "", "installation", ("lacks a permission", "make deploy")),
        ("States.Permissions", "not authorized", "installation", ("lacks a permission", "make deploy")),
        ("Permissions", "not authorized", "installation", ("lacks a permission", "make deploy")),
        (
            "ClientError",
            "An error occurred (AccessDeniedException) when calling the GetItem operation: no",
            "installation",
            ("its role lacks a permission", "GetItem", "make deploy"),
        ),
        ("States.DataLimitExceeded", "", "service", ("larger than Step Functions allows",)),
        ("QueryEvaluationError", "x is undefined", "service", ("could not evaluate", "x is undefined", "history")),
        ("States.Runtime", "", "service", ("could not evaluate the state MarkInReview",)),
    ],
)
def test_error_says_what_where_who_and_how(error: str, message: str, owner: str, parts: tuple[str, ...]) -> None:
    failure = Failure("MarkInReview", error, json.dumps({"errorMessage": message, "errorType": error}))

    assert (failure.name, owner_of(failure)) == (error.removeprefix("States."), owner)
    for part in ("MarkInReview", "How to fix: ", *parts):
        assert part in failure.reason
    if "the function" in failure.reason:
        assert "kiro-worker-<env>-update-status" in failure.reason
    assert owner_of(Failure("", error, message)) == owner


def test_timeout_of_execution_blames_no_function() -> None:
    reason = Failure("", "States.Timeout", "").reason

    assert reason.startswith(
        "the execution, or one of its states, exceeded its timeout\nHow to fix: aws logs tail /aws"
    )
    assert "/aws/lambda/kiro-worker-<env>-<step>" in reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("ABORTED", "a person or a program stopped the execution: wrong card\n"),
        ("TIMED_OUT", "the execution exceeded the timeout of the state machine kiro-worker-<env>: wrong card\n"),
    ],
)
def test_status_of_ended_execution_is_explained(status: str, reason: str) -> None:
    failure = Failure(error=status, cause="wrong card")

    assert failure.reason.startswith(f"{reason}How to fix: redrive the execution")
    assert ("a service failed" in failure.reason) == (status == "TIMED_OUT")
    assert (failure.name, owner_of(failure)) == (status, FaultOwner.SERVICE)


def test_denied_invocation_is_the_installations() -> None:
    message = "User: x is not authorized to perform: lambda:InvokeFunction on resource: y"

    assert owner_of(Failure("AcquireLock", "Lambda.AWSLambdaException", message)) is FaultOwner.INSTALLATION
    assert owner_of(Failure("AcquireLock", "Lambda.AWSLambdaException", "internal")) is FaultOwner.SERVICE


def test_explained_error_is_not_explained_again() -> None:
    """FailRun raises the error with its explanation, and a later run reports that text."""
    once = Failure("MarkInReview", "Sandbox.Timedout", "Task timed out").reason

    again = Failure("", "Sandbox.Timedout", json.dumps({"errorMessage": once, "errorType": "Sandbox.Timedout"}))

    assert again.reason == once
    assert owner_of(again) is FaultOwner.SERVICE


@pytest.mark.parametrize(
    "error", ["KeyError", "Lambda.NewException", "Sandbox.New", "ClientError", "GitHubUnavailable"]
)
def test_unknown_error_keeps_its_text(error: str) -> None:
    failure = Failure("MarkInReview", error, "AccessDenied is not in brackets")

    assert failure.reason == "AccessDenied is not in brackets"
    assert owner_of(failure) is FaultOwner.SERVICE


def test_message_is_redacted_and_bounded() -> None:
    text = Failure("MarkInReview", "Lambda.Unknown", f"x {TOKEN} " + "y" * 10_000).reason

    assert TOKEN not in text
    assert len(text) < 1600


@given(st.text(), st.text())
def test_braces_in_texts_are_no_templates(state: str, message: str) -> None:
    assert explain_platform_error(f"{{{state}", "Lambda.Unknown", f"{{{message}}} {{0}}")
