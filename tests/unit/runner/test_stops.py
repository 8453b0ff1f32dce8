from __future__ import annotations

import pickle
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kiro_worker.errors import (
    AwsUnavailable,
    BuildStopped,
    ConfigurationInvalid,
    GitHubRefused,
    LockHeld,
    LockLost,
    SecretMissing,
    WorkItemInvalid,
)
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.runner.report.variables import exported_variables
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.publish import BranchMoved
from kiro_worker.runner.stops import stop_for


def test_stopped_build_keeps_its_outcome() -> None:
    stop = BuildStopped(Outcome.TESTS_FAILED, "why", "fix", "lines")

    assert stop_for(stop) is stop


@pytest.mark.parametrize("error", [LockHeld("taken", "wait"), LockLost("taken", "wait")])
def test_lock_error_means_lost_lock(error: Exception) -> None:
    stop = stop_for(error)

    assert (stop.outcome, stop.reason, stop.remedy) == (Outcome.LOCK_LOST, "taken", "wait")


@pytest.mark.parametrize(
    ("error", "reason", "remedy", "details"),
    [
        (SecretMissing("no value", "put one"), "SecretMissing: no value", "put one", ""),
        (
            GitFailed("fetch", "fatal: no"),
            "git fetch failed: fatal: no",
            "read git's output in the details, then redrive the execution",
            "fatal: no",
        ),
        (
            ValueError("odd"),
            "the runner broke: ValueError: odd",
            "redrive the execution; if it fails again, report it with the traceback in the build log",
            "",
        ),
    ],
)
def test_other_errors_fail_worker(error: Exception, reason: str, remedy: str, details: str) -> None:
    stop = stop_for(error)

    assert stop.outcome is Outcome.WORKER_FAILED
    assert (stop.reason, stop.remedy, stop.details) == (reason, remedy, details)


@pytest.mark.parametrize(
    ("error", "name", "owner"),
    [
        (WorkItemInvalid("the spec changed", "push it again"), "WorkItemInvalid", FaultOwner.CARD),
        (SecretMissing("no value", "put one"), "SecretMissing", FaultOwner.INSTALLATION),
        (ConfigurationInvalid("no JSON", "correct it"), "ConfigurationInvalid", FaultOwner.INSTALLATION),
        (GitHubRefused("gone", "restore it"), "GitHubRefused", FaultOwner.REPOSITORY),
        (AwsUnavailable("throttled", "wait"), "AwsUnavailable", FaultOwner.SERVICE),
        (GitFailed("fetch", "fatal: no"), "", FaultOwner.SERVICE),
        (
            GitFailed("fetch", "fatal: unable to access 'https://x/': The requested URL returned error: 503"),
            "GitHubUnavailable",
            FaultOwner.SERVICE,
        ),
        (
            GitFailed("fetch", "fatal: unable to access 'https://x/': The requested URL returned error: 429"),
            "GitHubRateLimited",
            FaultOwner.SERVICE,
        ),
        (LockLost("taken", "wait"), "", None),
        (ValueError("odd"), "", FaultOwner.SERVICE),
    ],
)
def test_build_reports_owner_and_error(error: Exception, name: str, owner: FaultOwner | None) -> None:
    progress = BuildProgress()
    progress.stopped(stop_for(error))

    exported = exported_variables(progress)

    assert (exported["OUTCOME_ERROR"], exported["OUTCOME_OWNER"]) == (name, owner or "")


def test_repeated_stop_keeps_owner_and_error() -> None:
    stop = BuildStopped(Outcome.WORKER_FAILED, "why", owner=FaultOwner.CARD, error="WorkItemInvalid")

    moved = pickle.loads(pickle.dumps(stop))  # noqa: S301  # made here

    assert (moved.owner, moved.error) == (FaultOwner.CARD, "WorkItemInvalid")
    assert (BranchMoved(stop, "a" * 40).owner, BranchMoved(stop, "a" * 40).error) == (stop.owner, stop.error)


@pytest.mark.parametrize(
    ("code", "owner", "reason"),
    [
        ("AccessDeniedException", FaultOwner.INSTALLATION, "AwsAccessDenied: AWS denies GetItem"),
        ("ResourceNotFoundException", FaultOwner.INSTALLATION, "AwsResourceMissing: AWS does not find"),
        ("ThrottlingException", FaultOwner.SERVICE, "AwsUnavailable: "),
        ("ValidationException", FaultOwner.SERVICE, "the runner broke: ClientError: "),
    ],
)
def test_error_of_aws_has_name_and_owner(code: str, owner: FaultOwner, reason: str) -> None:
    response: Any = {"Error": {"Code": code, "Message": "why"}}

    stop = stop_for(ClientError(response, "GetItem"))

    assert (stop.outcome, stop.owner) == (Outcome.WORKER_FAILED, owner)
    assert stop.reason.startswith(reason)
