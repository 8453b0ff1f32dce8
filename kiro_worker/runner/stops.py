"""The outcome under which an error ends a build."""

from __future__ import annotations

from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.availability import refusal, unavailable
from kiro_worker.errors import BuildStopped, KiroWorkerError, LockError
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import GitFailed

_GIT_REMEDY: Final = "read git's output in the details, then redrive the execution"
_BUG_REMEDY: Final = "redrive the execution; if it fails again, report it with the traceback in the build log"


def stop_for(error: Exception) -> BuildStopped:
    """Return the stop for ``error``: the error itself if it has an outcome, else ``LockLost`` or ``WorkerFailed``.

    The stop for another error of the worker keeps that error's owner and name. An error of boto3 gets those of the
    worker's error that stands for it.
    """
    match error:
        case BuildStopped():
            return error
        case LockError():
            return BuildStopped(Outcome.LOCK_LOST, error.reason, error.remedy)
        case KiroWorkerError():
            name = type(error).__name__
            return BuildStopped(
                Outcome.WORKER_FAILED, f"{name}: {error.reason}", error.remedy, owner=error.owner, error=name
            )
        case GitFailed():
            return stop_because(error, Outcome.WORKER_FAILED, "", _GIT_REMEDY)
        case BotoCoreError() | ClientError() if named := refusal(error) or unavailable(error):
            return stop_for(named)
    return BuildStopped(Outcome.WORKER_FAILED, f"the runner broke: {type(error).__name__}: {error}", _BUG_REMEDY)
