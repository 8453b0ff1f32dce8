"""What people are told about a build that could not report its own failure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.builds.causes import LONGEST_QUOTE, explain, explain_without_build
from kiro_worker.builds.description import BuildDescription, Phase
from kiro_worker.builds.failure import BuildFailure
from kiro_worker.models import Failure
from kiro_worker.outcomes import FaultOwner, Outcome

TOKEN = "ghp_" + "0a1b" * 9
PULL = "CLIENT_ERROR: BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: Unable to pull customer's container image"
KILLED = "COMMAND_EXECUTION_ERROR: Error while executing command: python3 -m kiro_worker.runner. Reason: signal: killed"


def build(phase: str, status: str, message: str = "", build_status: str = "", **facts: Any) -> BuildDescription:
    before = (Phase("SUBMITTED", "SUCCEEDED"),)
    known = {
        "id": "kiro-worker-test:1",
        "status": build_status or status,
        "image": "acme/image:1",
        "compute_type": "BUILD_GENERAL1_SMALL",
        "project": "kiro-worker-test",
        "source": "assets/worker.zip",
        "timeout_minutes": 60,
        "queue_timeout_minutes": 30,
    }
    return BuildDescription(**{**known, "phases": (*before, Phase(phase, status, 1800, message)), **facts})


@pytest.mark.parametrize(
    ("failed", "name", "owner", "parts"),
    [
        (build("PROVISIONING", "FAILED", PULL), "BuildFailed", "installation", ("acme/image:1", PULL)),
        (
            build("DOWNLOAD_SOURCE", "FAILED", "CLIENT_ERROR: AccessDenied: Access Denied"),
            "BuildFailed",
            "installation",
            ("the worker's own source assets/worker.zip", "s3:GetObject", "AccessDenied"),
        ),
        (
            build("DOWNLOAD_SOURCE", "FAILED", "CLIENT_ERROR: NoSuchKey"),
            "BuildFailed",
            "installation",
            ("make deploy", "NoSuchKey"),
        ),
        (
            build("QUEUED", "TIMED_OUT", "BUILD_TIMED_OUT: Build has timed out"),
            "BuildTimedOut",
            "service",
            ("waited 30 minutes in CodeBuild's queue", "redrive the execution"),
        ),
        (
            build("BUILD", "FAILED", KILLED),
            "BuildFailed",
            "repository",
            (
                "out of memory",
                "was killed",
                "BUILD_GENERAL1_SMALL",
                "operators of this installation to choose a compute type",
            ),
        ),
        (build("INSTALL", "FAILED", KILLED), "BuildFailed", "installation", ("out of memory", "BUILD_GENERAL1_SMALL")),
        (
            build("UPLOAD_ARTIFACTS", "FAILED", KILLED.replace("BUILD", "UPLOAD")),
            "BuildFailed",
            "repository",
            ("out of memory",),
        ),
        (
            build("BUILD", "FAILED", "COMMAND_EXECUTION_ERROR: … Reason: exit status 137"),
            "BuildFailed",
            "repository",
            ("out of memory",),
        ),
        (
            build("BUILD", "FAILED", "write error: No space left on device"),
            "BuildFailed",
            "repository",
            ("the disk of the build is full", "operators of this installation to choose a"),
        ),
        (
            build("DOWNLOAD_SOURCE", "FAILED", "write error: No space left on device"),
            "BuildFailed",
            "installation",
            ("source",),
        ),
        (
            build("PRE_BUILD", "FAILED", "write error: No space left on device"),
            "BuildFailed",
            "installation",
            ("the disk of the build is full",),
        ),
        (
            build("BUILD", "TIMED_OUT", "BUILD_TIMED_OUT: Build has timed out"),
            "BuildTimedOut",
            "repository",
            ("its timeout of 60 minutes", "continues with the open tasks"),
        ),
        (
            build("INSTALL", "TIMED_OUT", "BUILD_TIMED_OUT: Build has timed out"),
            "BuildTimedOut",
            "installation",
            ("its timeout of 60 minutes", "the phase INSTALL"),
        ),
        (build("BUILD", "STOPPED"), "BuildFailed", "service", ("a person or a program stopped the build",)),
        (build("INSTALL", "FAULT", "INTERNAL_ERROR: x"), "BuildFaulted", "service", ("build status FAULT",)),
        (build("FINALIZING", "SUCCEEDED", build_status="FAULT"), "BuildFaulted", "service", ("FAULT",)),
        (
            build("SUBMITTED", "FAILED", "ACCESS_DENIED: Service role does not allow AWS CodeBuild to create logs"),
            "BuildFailed",
            "installation",
            ("lacks a permission", "make deploy"),
        ),
        (
            build("INSTALL", "FAILED", "YAML_FILE_ERROR: no such runtime"),
            "BuildFailed",
            "installation",
            ("the phase INSTALL", "no such runtime"),
        ),
        (
            build("PROVISIONING", "FAILED", "INTERNAL_SERVICE_ERROR: try again"),
            "BuildFailed",
            "service",
            ("CodeBuild failed in the phase PROVISIONING", "try again"),
        ),
        (
            build("PROVISIONING", "FAILED", "VPC_CLIENT_ERROR: no route"),
            "BuildFailed",
            "installation",
            ("could not start the build", "no route"),
        ),
        (
            build("BUILD", "FAILED", "COMMAND_EXECUTION_ERROR: exit status 1"),
            "BuildFailed",
            "service",
            ("without an outcome", "exit status 1"),
        ),
        (
            build("SOMETHING_NEW", "FAILED", "NEW_CODE: new"),
            "BuildFailed",
            "service",
            ("SOMETHING_NEW", "NEW_CODE: new"),
        ),
        (BuildDescription("b:1", status="FAILED"), "BuildFailed", "service", ("ended as FAILED", "unknown phase")),
    ],
)
def test_known_cause_says_what_who_and_how(failed: BuildDescription, name: str, owner: str, parts: tuple[str]) -> None:
    explanation = explain(failed)
    assert (explanation.name, explanation.owner) == (name, owner)
    for part in (*parts, "How to fix: "):
        assert part in explanation.text


@pytest.mark.parametrize("phase", ["INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS", "", "NEW"])
@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "STOPPED", "FAULT"])
@pytest.mark.parametrize("message", [KILLED, PULL, "No space left on device", "AccessDenied", "INTERNAL_ERROR", ""])
def test_build_that_may_have_worked_never_stops_the_board(phase: str, status: str, message: str) -> None:
    explanation = explain(build(phase, status, message))
    if explanation.keeps_work:
        assert explanation.owner in (FaultOwner.REPOSITORY, FaultOwner.SERVICE)
    if phase not in ("INSTALL", "PRE_BUILD"):
        assert explanation.owner is not FaultOwner.INSTALLATION


def test_first_failed_phase_explains() -> None:
    phases = (Phase("BUILD", "FAILED", 1, KILLED), Phase("UPLOAD_ARTIFACTS", "FAILED", 1, "no test report files"))
    explanation = explain(build("", "", phases=phases))
    assert "out of memory" in explanation.text
    assert "no test report files" not in explanation.text


@pytest.mark.parametrize(
    ("error", "cause", "name", "owner", "part"),
    [
        (
            "CodeBuild.AccountLimitExceededException",
            "Cannot have more than 0 builds in queue for the account (Service: AWSCodeBuild; Status Code: 400)",
            "BuildNotStarted",
            "installation",
            "quota of running builds of at least 1",
        ),
        (
            "CodeBuild.AccountLimitExceededException",
            "Cannot have more than 5 builds in queue for the account",
            "BuildNotStarted",
            "installation",
            "more than 5 builds",
        ),
        ("CodeBuild.ResourceNotFoundException", "no project", "BuildNotStarted", "installation", "make deploy"),
        ("States.Permissions", "not authorized", "BuildNotStarted", "installation", "may not start the build"),
        ("CodeBuild.SdkClientException", "reset", "BuildNotStarted", "service", "did not answer"),
        ("CodeBuild.ThrottlingException", "Rate exceeded", "BuildNotStarted", "service", "Rate exceeded"),
        ("States.Timeout", "", "BuildTimedOut", "service", "timeout of the state RunBuild"),
    ],
)
def test_build_that_never_was_is_explained(error: str, cause: str, name: str, owner: str, part: str) -> None:
    explanation = explain_without_build(error, cause)
    assert (explanation.name, explanation.owner) == (name, owner)
    assert part in explanation.text
    assert "How to fix: " in explanation.text
    failure = Failure("RunBuild", error, cause)
    assert (failure.name, failure.reason) == (name, explanation.text)


def test_quoted_message_is_redacted_and_bounded() -> None:
    text = explain(build("BUILD", "FAILED", f"x {TOKEN} " + "y" * 10_000)).text
    assert TOKEN not in text
    assert "[redacted]" in text
    assert len(text) < LONGEST_QUOTE + 1000


@given(st.text(), st.text(), st.text())
def test_braces_in_texts_are_no_templates(phase: str, message: str, image: str) -> None:
    assert explain(build(f"{{{phase}", "FAILED", f"{{{message}}} {{0}}", image=f"{{{image}}}")).text


CAUSE = json.dumps({"Build": {"Id": "b:1", "BuildStatus": "FAILED", "Phases": "x" * 100}})


@pytest.mark.parametrize("state", ["", "RunBuild"])
@pytest.mark.parametrize("cause", [CAUSE, CAUSE[:40], "", "null", "[]", '{"Build": 1}'])
def test_task_failed_is_never_shown(state: str, cause: str) -> None:
    failure = Failure(state, "States.TaskFailed", cause)
    assert failure.name == "BuildFailed"
    assert "How to fix: " in failure.reason


@pytest.mark.parametrize("name", [*Outcome, *BuildFailure])
def test_explained_failure_is_shown_as_it_is(name: str) -> None:
    failure = Failure("RunBuild", name, "in words", owner=FaultOwner.CARD)
    assert (failure.name, failure.reason) == (name, "in words")
