"""Problems of a build that CodeBuild ended, or never started."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from kiro_local.assembly import ROOT
from kiro_worker.models import Failure
from tests.support.operator_guide.problem import REDRIVE, Problem, Seen, shown

PULL: Final = "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: Unable to pull customer's container image"
KILLED: Final = 'Error while executing command: sh "$CODEBUILD_SRC_DIR/start.sh". Reason: signal: killed'
PROJECT: Final = "the build project kiro-worker-test"
COMPUTE: Final = "BUILD_GENERAL1_SMALL"


def failed_in(phase: str, status: str, message: str = "", build_status: str = "") -> Callable[[], Seen]:
    """Return a function that reports a build which CodeBuild describes so, in the Cause of RunBuild."""
    failed = {"PhaseType": phase, "PhaseStatus": status, "DurationInSeconds": 1800}
    failed["Contexts"] = [{"StatusCode": "CLIENT_ERROR", "Message": message}] if message else []
    build: dict[str, Any] = {
        "Id": "kiro-worker-test:1",
        "BuildStatus": build_status or status,
        "ProjectName": "kiro-worker-test",
        "Environment": {"Image": "acme/image:1", "ComputeType": COMPUTE},
        "Source": {"Location": "assets/worker.zip"},
        "TimeoutInMinutes": 60,
        "QueuedTimeoutInMinutes": 30,
        "Phases": [{"PhaseType": "SUBMITTED", "PhaseStatus": "SUCCEEDED"}, failed],
    }
    return lambda: shown(Failure("RunBuild", "States.TaskFailed", json.dumps({"Build": build})))


def refused(error: str, cause: str) -> Callable[[], Seen]:
    """Return a function that reports that RunBuild failed without a build."""
    return lambda: shown(Failure("RunBuild", error, cause))


def in_image_without_git() -> Seen:
    """Start the runner where there is no git, and return what the build then reports."""
    with TemporaryDirectory() as folder:
        environment = {"PATH": folder, "CODEBUILD_SRC_DIR": folder, "CODEBUILD_BUILD_IMAGE": "acme/image:1"}
        for tool in ("tr", "sed"):
            (Path(folder) / tool).symlink_to(shutil.which(tool) or tool)
        finished = subprocess.run(["/bin/sh", str(ROOT / "start.sh")], env=environment, check=False)
        assert finished.returncode == 1
        lines = (Path(folder) / "result.env").read_text("utf-8").splitlines()
    exported = dict(shlex.split(line)[1].split("=", 1) for line in lines)
    variables = [{"Name": name, "Value": value} for name, value in exported.items()]
    build = {"Id": "kiro-worker-test:1", "BuildStatus": "FAILED", "ExportedEnvironmentVariables": variables}
    return shown(Failure("RunBuild", "States.TaskFailed", json.dumps({"Build": build})))


STARTING: Final = (
    Problem(
        "The account's quota of builds is 0, as in new accounts",
        "BuildNotStarted",
        "whose quota of concurrent builds is 0",
        "CodeBuild starts no build in this account",
        "request a quota of running builds of at least 1 in Service Quotas (AWS CodeBuild)",
        refused("CodeBuild.AccountLimitExceededException", "Cannot have more than 0 builds in queue for the account"),
    ),
    Problem(
        "Too many builds run in the account",
        "BuildNotStarted",
        "too many builds run or wait",
        "in this account",
        "request a higher quota in Service Quotas (AWS CodeBuild)",
        refused("CodeBuild.AccountLimitExceededException", "Cannot have more than 5 builds in queue"),
    ),
    Problem(
        "The build project was deleted while the card was validated",
        "BuildNotStarted",
        "the build project does not exist",
        "Project cannot be found: arn:aws:codebuild:us-east-1:123456789012:project/kiro-worker-test",
        "make deploy",
        refused(
            "CodeBuild.ResourceNotFoundException",
            "Project cannot be found: arn:aws:codebuild:us-east-1:123456789012:project/kiro-worker-test",
        ),
    ),
    Problem(
        "The state machine may not start a build",
        "BuildNotStarted",
        "the state machine may not start the build",
        "codebuild:StartBuild on resource: arn:aws:codebuild",
        "make deploy",
        refused(
            "CodeBuild.AWSCodeBuildException",
            "not authorized to perform: codebuild:StartBuild on resource: arn:aws:codebuild:us-east-1:1:project/x",
        ),
    ),
    Problem(
        "The build's image cannot be pulled",
        "BuildFailed",
        "CodeBuild cannot pull the build image acme/image:1",
        PROJECT,
        f"check that the image exists for the architecture of {PROJECT}, and that the project's role may pull it",
        failed_in("PROVISIONING", "FAILED", PULL),
    ),
    Problem(
        "CodeBuild may not read the worker's source",
        "BuildFailed",
        "CodeBuild cannot read the worker's own source",
        "assets/worker.zip",
        "make deploy",
        failed_in("DOWNLOAD_SOURCE", "FAILED", "AccessDenied: Access Denied"),
    ),
    Problem(
        "The role of the build project lacks a permission",
        "BuildFailed",
        "lacks a permission that CodeBuild needs in the phase PROVISIONING",
        f"the role of {PROJECT}",
        "make deploy",
        failed_in("PROVISIONING", "FAILED", "ACCESS_DENIED: Service role does not allow AWS CodeBuild to create logs"),
    ),
    Problem(
        "The build waited in the queue until it timed out",
        "BuildTimedOut",
        "the build waited 30 minutes",
        "in CodeBuild's queue",
        REDRIVE,
        failed_in("QUEUED", "TIMED_OUT"),
    ),
)
RUNNING: Final = (
    Problem(
        "The build's image has no git, or no Python that the worker can use",
        "BuildImageUnsuitable",
        "has no git",
        "the image acme/image:1",
        "install git",
        in_image_without_git,
    ),
    Problem(
        "The commands before the worker fail",
        "BuildFailed",
        "the commands that prepare the build failed",
        "the phase PRE_BUILD",
        "aws logs tail /aws/codebuild/kiro-worker-test --since 1d",
        failed_in("PRE_BUILD", "FAILED", "COMMAND_EXECUTION_ERROR: exit status 1"),
    ),
    Problem(
        "The build times out",
        "BuildTimedOut",
        "the build exceeded its timeout of 60 minutes",
        f"the timeout of {PROJECT}",
        REDRIVE,
        failed_in("BUILD", "TIMED_OUT"),
    ),
    Problem(
        "The build runs out of memory",
        "BuildFailed",
        "the build ran out of memory, or its process was killed",
        COMPUTE,
        REDRIVE,
        failed_in("BUILD", "FAILED", KILLED),
    ),
    Problem(
        "The build's disk is full",
        "BuildFailed",
        "the disk of the build is full",
        COMPUTE,
        REDRIVE,
        failed_in("BUILD", "FAILED", "write error: No space left on device"),
    ),
    Problem(
        "A person stops the build",
        "BuildFailed",
        "a person or a program stopped the build",
        "the phase BUILD",
        REDRIVE,
        failed_in("BUILD", "STOPPED"),
    ),
    Problem(
        "CodeBuild itself fails",
        "BuildFaulted",
        "CodeBuild failed (build status FAULT)",
        "the phase PROVISIONING",
        REDRIVE,
        failed_in("PROVISIONING", "FAULT", "INTERNAL_SERVICE_ERROR"),
    ),
    Problem(
        "The worker ends without a report",
        "BuildFailed",
        "the worker ended without an outcome",
        "the phase BUILD",
        "aws logs tail /aws/codebuild/kiro-worker-test --since 1d",
        failed_in("BUILD", "FAILED", "exit status 1"),
    ),
)
