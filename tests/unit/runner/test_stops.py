from __future__ import annotations

import pytest

from kiro_worker.errors import BuildStopped, LockHeld, LockLost, SecretMissing
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.git import GitFailed
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
        (ValueError("odd"), "ValueError: odd", "", ""),
    ],
)
def test_other_errors_fail_worker(error: Exception, reason: str, remedy: str, details: str) -> None:
    stop = stop_for(error)

    assert stop.outcome is Outcome.WORKER_FAILED
    assert (stop.reason, stop.remedy, stop.details) == (reason, remedy, details)
