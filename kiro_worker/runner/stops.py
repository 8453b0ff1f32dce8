"""The outcome under which an error ends a build."""

from __future__ import annotations

from typing import Final

from kiro_worker.errors import BuildStopped, KiroWorkerError, LockError
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import GitFailed

_GIT_REMEDY: Final = "read git's output in the details, then redrive the execution"


def stop_for(error: Exception) -> BuildStopped:
    """Return the stop for ``error``: the error itself if it has an outcome, else ``LockLost`` or ``WorkerFailed``."""
    match error:
        case BuildStopped():
            return error
        case LockError():
            return BuildStopped(Outcome.LOCK_LOST, error.reason, error.remedy)
        case KiroWorkerError():
            reason = f"{type(error).__name__}: {error.reason}"
            return BuildStopped(Outcome.WORKER_FAILED, reason, error.remedy, owner=error.owner)
        case GitFailed():
            return stop_because(error, Outcome.WORKER_FAILED, "", _GIT_REMEDY)
    return BuildStopped(Outcome.WORKER_FAILED, f"{type(error).__name__}: {error}")
