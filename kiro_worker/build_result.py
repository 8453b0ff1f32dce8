"""Reads how a build really ended, after Step Functions has reported that it failed.

CodeBuild's status is about the build and not about the work. These decide, in this order:

1. what the build itself reported: exported variables, from the Cause or from BatchGetBuilds;
2. the worker's record of what the run was about to push, together with the branch on the server;
3. what CodeBuild reports about the phases, which explains a failure that the build could not report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kiro_worker.builds.causes import explain, explain_without_build
from kiro_worker.builds.description import IN_PROGRESS, BuildDescription
from kiro_worker.builds.failure import BuildFailure
from kiro_worker.builds.reader import RunBuildFailure
from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.github.pushed import pushed_before_end, pushed_commit, pushes_of
from kiro_worker.models import BuildResult, Failure
from kiro_worker.outcomes import Outcome
from kiro_worker.records.cards import claim_repeat
from kiro_worker.records.checkpoints import read_checkpoint
from kiro_worker.state import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from kiro_worker.builds.failure import Explanation
    from kiro_worker.builds.reader import BuildReader
    from kiro_worker.config.model import Configuration
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.lock.store import LockStore
    from kiro_worker.models import Work
    from kiro_worker.records.table import RecordsTable
    from kiro_worker.state import StepEvent


@dataclass(frozen=True)
class BuildEdges:
    """The services that this step asks. ``open_session`` is called only if the run was about to push."""

    builds: BuildReader
    locks: LockStore
    records: RecordsTable
    open_session: Callable[[], AbstractAsyncContextManager[tuple[GitHubSession, Configuration]]]


async def read_build_result(event: StepEvent, edges: BuildEdges) -> dict[str, Any]:
    """The parts of the state document that say how the build ended: ``build``, ``repeat`` and perhaps ``failure``.

    - pushed: ``build`` as RunBuild would have written it, and no ``failure``;
    - to be repeated, because CodeBuild failed: ``repeat`` is true, and there is no ``failure``;
    - failed: ``failure`` with the worker's error, the outcome or a :class:`BuildFailure` as its error, the reason in
      words, and the owner.

    Safe to repeat. A build that still runs is stopped first.
    """
    failure = require(event.document.failure, "failure")
    sought = _sought_build(event, edges, failure)
    build = edges.builds.ended_build(sought)
    result = BuildResult.from_description(build) if build else BuildResult()
    if build and result.has_pushed:
        return {"build": _document(build), "repeat": False}
    if commit := await _pushed_commit(event, edges):
        ended_as = result.stopping_outcome or (build.status if build else failure.error.removeprefix("States."))
        return {"build": _document(build, _pushed_variables(build, commit, ended_as)), "repeat": False}
    if build and _is_to_be_repeated(event, edges, build, result):
        return {"build": _document(build), "repeat": True}
    work = require(event.document.work, "work")
    if reported := result.explanation:
        named = Failure(failure.state, reported.name, reported.reason, failure.redrive_count, reported.owner or "")
    else:
        # A build that RunBuild gave up on was stopped by this step, which explains nothing.
        explains = build is not None and not (sought.gave_up and build.status in ("STOPPED", IN_PROGRESS))
        explanation = explain(build) if build and explains else explain_without_build(failure.error, failure.cause)
        if work.build and work.build.by_repository:
            explanation = explanation.for_repository(REPOSITORY_FILE)
        text = _with_checkpoint(event, edges, explanation)
        named = Failure(failure.state, explanation.name, text, failure.redrive_count, explanation.owner)
    return {"build": _document(build), "repeat": False, "failure": named.to_dict()}


def _sought_build(event: StepEvent, edges: BuildEdges, failure: Failure) -> RunBuildFailure:
    """The failure, with the build that the lock names if this run holds it.

    The document has a build only if this attempt repeats it.
    """
    lease = require(event.document.lease, "lease")
    holder = edges.locks.read(lease.lock_key)
    known = holder.subject.build_id if holder.owner == event.execution_arn else ""
    repeated = event.document.build.build_id if event.document.build else ""
    return RunBuildFailure(failure.error, failure.cause, event.execution_arn, lease.fence, known, repeated)


async def _pushed_commit(event: StepEvent, edges: BuildEdges) -> str:
    item, work = require(event.document.item, "item"), require(event.document.work, "work")
    run = pushes_of(edges.records, event.execution_arn, item.id)
    if run is None:
        return ""
    async with edges.open_session() as (session, _):
        return await pushed_commit(session, run, work)


def _is_to_be_repeated(event: StepEvent, edges: BuildEdges, build: BuildDescription, result: BuildResult) -> bool:
    """Whether CodeBuild itself failed, for the first time at this commit. A build with an outcome did its work."""
    if event.document.repeat or result.outcome or explain(build).name != BuildFailure.FAULTED:
        return False
    item, work = require(event.document.item, "item"), require(event.document.work, "work")
    return claim_repeat(edges.records, item.id, work.commit, build.id)


def _with_checkpoint(event: StepEvent, edges: BuildEdges, explanation: Explanation) -> str:
    """The explanation, and where the finished tasks are if this run wrote a checkpoint."""
    work = require(event.document.work, "work")
    if explanation.keeps_work and _has_checkpoint(event, edges, work):
        return f"{explanation.text}\nA redrive continues from the finished tasks that are on the checkpoint."
    return explanation.text


def _has_checkpoint(event: StepEvent, edges: BuildEdges, work: Work) -> bool:
    checkpoint = read_checkpoint(edges.records, work.repository, work.branch)
    return checkpoint is not None and checkpoint.execution == event.execution_arn and not checkpoint.work.is_empty


def _document(build: BuildDescription | None, variables: dict[str, str] | None = None) -> dict[str, Any]:
    """The ``build`` of the state document; all texts are empty if no build is known."""
    build = build or BuildDescription("")
    phase = build.failed_phase
    exported = dict(build.variables) if variables is None else variables
    return {
        "id": build.id,
        "arn": build.arn,
        "log": build.log_url,
        "status": build.status,
        "phase": phase.name if phase else "",
        "message": phase.message[:1000] if phase else "",
        "variables": [{"Name": name, "Value": value} for name, value in exported.items()],
    }


def _pushed_variables(build: BuildDescription | None, commit: str, ended_as: str) -> dict[str, str]:
    """What the build reported before it failed, with the outcome that the branch shows."""
    return {
        **(dict(build.variables) if build else {}),
        "OUTCOME": Outcome.SUCCEEDED.value,
        "OUTCOME_REASON": pushed_before_end(ended_as),
        "RESULT_COMMIT": commit,
    }
