"""A problem that operators meet, and the text that the product shows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from kiro_worker.errors import KiroWorkerError
from kiro_worker.github import pr_comment
from kiro_worker.models import BuildResult, Failure
from kiro_worker.names import with_environment
from kiro_worker.outcomes import FaultOwner
from kiro_worker.ownership import owner_of
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.runner.report.variables import exported_variables
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.stops import stop_for
from tests.support.fake_github import configuration

ARN: Final = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
REDRIVE: Final = f"aws stepfunctions redrive-execution --execution-arn {ARN}"
BY_HAND: Final = "redrive the execution"
"""How to continue where no comment can name the execution: the text is shown on the execution's own page."""


@dataclass(frozen=True)
class Seen:
    """The name that people see (of an error, an outcome or a run's end), and the text with it."""

    name: str
    text: str


@dataclass(frozen=True)
class Problem:
    """A problem as people describe it. The text of what ``provoke`` provokes contains ``what``, ``where`` and ``do``.

    ``what`` says what failed, ``where`` names the resource, file or setting, and ``do`` is the command or the step that
    fixes it. ``provoke`` runs the product's own code.
    """

    symptom: str
    name: str
    what: str
    where: str
    do: str
    provoke: Callable[[], Seen]


def raised(act: Callable[[], object]) -> Seen:
    """Return the worker's error that ``act`` raises, as Step Functions shows it."""
    with pytest.raises(KiroWorkerError) as caught:
        act()
    return Seen(type(caught.value).__name__, str(caught.value))


def shown(failure: Failure) -> Seen:
    """Return what people see of a failed run: the comment of a card's failure, else the execution's own error."""
    if owner_of(failure) is FaultOwner.INSTALLATION:
        return Seen(failure.name, with_environment(failure.reason, ARN))
    return Seen(failure.name, pr_comment.failed(configuration(), failure, ARN))


def failed_build(stop: Exception | None) -> Seen:
    """Return what people see of a build that ended with ``stop``, through the variables that it exports."""
    assert stop is not None
    progress = BuildProgress()
    progress.stopped(stop_for(stop))
    exported = [{"Name": name, "Value": value} for name, value in exported_variables(progress).items()]
    build = {"Id": "kiro-worker-test:1", "BuildStatus": "FAILED", "ExportedEnvironmentVariables": exported}
    cause = json.dumps({"Build": build})
    assert BuildResult.from_document({"id": "1", "variables": exported}).outcome
    return shown(Failure("RunBuild", "States.TaskFailed", cause))


def stopped(act: Callable[[], object]) -> Seen:
    """Return what people see of a build that ended with the error that ``act`` raises."""
    with pytest.raises((KiroWorkerError, GitFailed)) as caught:
        act()
    return failed_build(caught.value)
