"""The story of a build: hold the lock, check out the pinned commit, look for files that steer the agent, let it work
task by task, test, hold the lock still, push.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kiro_worker.errors import BuildStopped, KiroWorkerError, LockError
from kiro_worker.lock.item import Subject
from kiro_worker.lock.slots import acquire_with_slot, keep_slot
from kiro_worker.lock.table import LockTable
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.agent.adapters import configured_agent
from kiro_worker.runner.agent.loop import Place, Turns, clean, note_tasks
from kiro_worker.runner.gate.gate import run_gate
from kiro_worker.runner.repository.checkout import (
    Checkout,
    check_out,
    fetch_default_branch,
    published_earlier,
    require_unmoved_branch,
)
from kiro_worker.runner.repository.checkpoint import Checkpoint, Start
from kiro_worker.runner.repository.commit import changes_between, rebased, with_execution_trailer
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.publish import BranchMoved, publish
from kiro_worker.runner.repository.submodules import Source, Submodules, load_submodules
from kiro_worker.runner.sandbox.sandbox import Sandbox, sandbox
from kiro_worker.runner.trust.guard import Guard
from kiro_worker.runner.trust.steering import Steering, git_reader, load_steering, s3_reader
from kiro_worker.spec import TASKS_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.labels import Labelling
    from kiro_worker.models import GitCredentials
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.report.log import Log, Redaction
    from kiro_worker.runner.request import BuildRequest


@dataclass(frozen=True)
class Edges:
    """What the story needs from outside. Secrets are read when they are needed, and not before."""

    configuration: Configuration
    locks: LockTable
    load_git_credentials: Callable[[], GitCredentials]
    load_agent_key: Callable[[], str]
    read_labelling: Callable[[BuildRequest, str], Labelling]
    s3: Callable[[], S3Client]
    environment: Mapping[str, str]
    workspace: Path
    logs: Path
    log: Log
    redaction: Redaction


def run(request: BuildRequest, edges: Edges, progress: BuildProgress) -> None:
    """Build ``job`` and fill in ``record`` on the way. Returns when the branch carries the work; raises
    :class:`BuildStopped`, and every error of :mod:`kiro_worker.errors`, otherwise.
    """
    Build(request, edges, progress).run()


class Build:
    """One build. Everything it has done so far is in ``record``, and safe in the checkpoint."""

    def __init__(self, request: BuildRequest, edges: Edges, progress: BuildProgress) -> None:
        self._request = request
        self._edges = edges
        self._progress = progress
        self._lease = request.lease
        self._submodules = Submodules({})
        self._guard = Guard(
            request, edges.configuration, lambda label: edges.read_labelling(request, label), edges.log.say
        )

    def run(self) -> None:
        with self._phase("hold the lock"):
            self._hold_lock()
        with self._phase("check out"):
            checkout = self._check_out()
            checkpoint = Checkpoint(checkout, self._edges.log.say)
        if commit := published_earlier(checkout, self._request.owner):
            self._note_work(checkout, commit)
            self._succeed(checkpoint, commit)
            self._progress.reason = "an earlier attempt of this execution had pushed already; nothing was run again"
            return
        require_unmoved_branch(checkout)
        with self._phase("guard"):
            self._guard.require_trusted(checkout)
        self._load_submodules(checkout)
        steering = self._load_steering()
        edges = self._edges
        with (
            edges.log.sink("agent", edges.logs / "agent.log") as sink,
            sandbox(edges.environment, edges.workspace, edges.log.say) as box,
        ):
            with self._phase("agent"):
                self._hold_lock()
                turns = self._implement(checkout, checkpoint, steering, sink, box)
            with self._phase("tests"):
                self._test_or_mend(checkout, turns, box)
            with self._phase("push"):
                commit = self._push(checkout, checkpoint, turns.commit, box)
        self._succeed(checkpoint, commit)

    def _hold_lock(self) -> None:
        """Make sure that this run holds the lock. A build started by hand, which nobody gave one, takes it."""
        request, locks, build_id = (
            self._request,
            self._edges.locks,
            self._edges.environment.get("CODEBUILD_BUILD_ID", ""),
        )
        subject = Subject(request.work_item_id, request.repository, request.branch, build_id=build_id)
        if request.started_by_hand and not self._lease.fence:
            key, owner = self._lease.lock_key, self._lease.owner
            self._lease = acquire_with_slot(locks, self._edges.configuration, key, owner, subject)
        else:
            self._lease = locks.ensure(self._lease, subject)
            self._progress.fence = self._lease.fence
            self._lease = keep_slot(locks, self._edges.configuration, self._lease, subject)
        self._progress.fence, self._progress.slot = self._lease.fence, self._lease.slot

    def _check_out(self) -> Checkout:
        """The checkout, with the git credentials known to the redaction first."""
        request, edges = self._request, self._edges
        credentials = edges.load_git_credentials()
        edges.redaction.know(credentials.password, f"{credentials.username}:{credentials.password}")
        checkout = check_out(
            request,
            edges.workspace,
            edges.configuration.git_url,
            credentials,
            edges.environment,
            lfs=edges.configuration.lfs,
        )
        edges.log.say(f"{request.repository} {request.branch} at {request.commit}")
        return checkout

    def _load_submodules(self, checkout: Checkout) -> None:
        """Their files, where they are configured; the guard has looked at ``.gitmodules`` by now."""
        edges, request = self._edges, self._request
        if not edges.configuration.submodules:
            return
        with self._phase("submodules"):
            git_url, credentials = edges.configuration.git_url, edges.load_git_credentials()
            source = Source(
                edges.workspace / checkout.commit, git_url, request.repository, credentials, edges.environment
            )
            default = fetch_default_branch(checkout)
            self._submodules = load_submodules(checkout, default, source, self._guard)
        edges.log.say(f"submodules: {', '.join(map(ascii, self._submodules.repositories)) or 'none'}")

    def _load_steering(self) -> Steering:
        """The files that are kept centrally, where some are configured."""
        edges, source = self._edges, self._edges.configuration.steering
        if source is None:
            return Steering()
        with self._phase("steering"):
            if source.startswith("s3://"):
                read = s3_reader(source, edges.s3())
            else:
                git_url, credentials = edges.configuration.git_url, edges.load_git_credentials()
                read = git_reader(source, edges.workspace, git_url, credentials, edges.environment)
            steering = load_steering(source, read)
        self._progress.steering_source, self._progress.steering_version = source, steering.version
        edges.log.say(f"version {steering.version} of {source}: {', '.join(steering.files)}")
        return steering

    def _implement(
        self,
        checkout: Checkout,
        checkpoint: Checkpoint,
        steering: Steering,
        sink: Callable[[str], None],
        box: Sandbox,
    ) -> Turns:
        """Let the agent work, from where an earlier build left off, and keep every task that it finishes."""
        edges, configuration = self._edges, self._edges.configuration.agent
        start = self._resume(checkout, checkpoint)
        agent = configured_agent(configuration, self._request, edges.load_agent_key)
        edges.redaction.know(*agent.own_variables.values())
        self._progress.agent_unit = agent.unit
        place = Place(
            home=edges.workspace / "agent-home",
            sandbox=box,
            environment=edges.environment,
            sink=sink,
            say=edges.log.say,
            redaction=edges.redaction,
            keep=lambda commit: self._keep(checkpoint, commit),
            guard=self._guard,
            steering=steering,
            submodules=self._submodules,
        )
        turns = Turns(self._request, checkout, agent, place, self._progress, start)
        turns.work(configuration)
        if turns.changed_nothing:
            # Boxes alone are not worth going on from.
            self._drop(checkpoint)
            raise turns.nothing_changed()
        progress = self._progress
        edges.log.say(
            f"{len(progress.files_changed)} files changed, {progress.tasks_done} tasks done, {progress.tasks_open} open"
        )
        return turns

    def _resume(self, checkout: Checkout, checkpoint: Checkpoint) -> Start:
        start = checkpoint.resume()
        if start.commit == checkout.commit:
            return start
        try:
            # What steers the agent is not to come from an agent either.
            self._guard.require_trusted(checkout, start.commit)
        except BuildStopped as stop:
            self._edges.log.say(f"the checkpoint is not used, and the work starts over: {stop.reason}")
            return Start(checkout.commit, checkout.commit)
        self._note_work(checkout, start.commit)
        self._keep(checkpoint, start.commit)
        return start

    def _keep(self, checkpoint: Checkpoint, commit: str) -> None:
        """Push ``commit`` to the checkpoint branch, under the lock like every push."""
        if commit != checkpoint.commit:
            self._hold_lock()
            checkpoint.save(commit)
        if checkpoint.commit:
            self._progress.checkpoint_branch, self._progress.checkpoint_commit = checkpoint.branch, checkpoint.commit

    def _drop(self, checkpoint: Checkpoint) -> None:
        checkpoint.drop()
        self._progress.checkpoint_branch = checkpoint.branch if checkpoint.commit else ""
        self._progress.checkpoint_commit = checkpoint.commit

    def _test_or_mend(self, checkout: Checkout, turns: Turns, box: Sandbox) -> None:
        """The gate. Where an earlier build had done all tasks and failed here, the agent gets one turn to mend that:
        otherwise a redrive could only fail again.
        """
        try:
            self._test(checkout, box)
        except BuildStopped as stop:
            mendable = stop.outcome in (Outcome.TESTS_FAILED, Outcome.COVERAGE_BELOW_THRESHOLD)
            if not mendable or not turns.only_mending_is_left:
                raise
            self._edges.log.say(f"{stop.outcome}: {stop.reason}")
            turns.mend(stop)
            self._test(checkout, box)

    def _test(self, checkout: Checkout, box: Sandbox) -> None:
        """The project's own tests, on the files as they were committed."""
        edges, progress = self._edges, self._progress
        home = edges.workspace / "tests-home"
        self._submodules.materialize(checkout)
        with edges.log.sink("tests", edges.logs / "tests.log") as sink:
            box.grant(checkout.folder, home)
            try:
                gate = run_gate(
                    edges.configuration,
                    checkout.folder,
                    home,
                    parent=edges.environment,
                    sink=sink,
                    redact=edges.redaction,
                    patch=progress.patch,
                    keep=edges.logs / "reports",
                    sandbox=box,
                )
            finally:
                box.reclaim(checkout.folder, home)
        progress.tests, progress.test_command, progress.coverage_line = gate.summary, gate.command, gate.coverage_line

    def _push(self, checkout: Checkout, checkpoint: Checkpoint, commit: str, box: Sandbox) -> str:
        """Move the branch, under the lock. When somebody else moved it meanwhile: once more, on top of theirs."""
        commit = with_execution_trailer(checkout, self._request, commit, self._edges.log.say)
        self._hold_lock()
        try:
            publish(checkout, commit, checkpoint)
        except BranchMoved as moved:
            self._edges.log.say(f"{checkout.branch} is at {moved.head[:12]} now: the work goes on top of it, once")
            checkout, commit = self._on_top(checkout, commit, moved)
            self._note_work(checkout, commit)
            self._keep(checkpoint, commit)
            self._test(checkout, box)
            self._hold_lock()
            publish(checkout, commit, checkpoint)
        return commit

    def _on_top(self, checkout: Checkout, commit: str, moved: BranchMoved) -> tuple[Checkout, str]:
        """The work on top of what somebody else pushed, laid out to be tested. Raises :class:`BuildStopped` when it does
        not apply.
        """
        git, say = checkout.git, self._edges.log.say
        reference = f"refs/remotes/origin/{checkout.branch}"
        try:
            fetch = ("fetch", "--quiet", "--no-tags", "--no-filter", "origin")
            git.network(*fetch, f"+refs/heads/{checkout.branch}:{reference}")
        except GitFailed:
            raise moved from None
        head = git.text("rev-parse", "--verify", reference)
        theirs = git.succeeds("merge-base", "--is-ancestor", checkout.commit, head)
        tip = rebased(checkout, checkout.commit, commit, head, say) if theirs else ""
        if not tip or tip == head:
            reason = f"{moved.reason}, and the work does not apply cleanly to what they pushed"
            raise BuildStopped(moved.outcome, reason, moved.remedy, moved.details)
        # What it is compared with is fetched again: the agent may have worked for hours.
        there = replace(checkout, commit=head, head=head, default="")
        self._guard.require_trusted(there)
        # What was a guarded file's change nowhere can be one there: a link of theirs leads to it.
        self._guard.require_unchanged(there, head, tip)
        self._load_submodules(there)
        clean(there, tip)
        return there, with_execution_trailer(there, self._request, tip, say)

    def _note_work(self, checkout: Checkout, commit: str) -> None:
        change = changes_between(checkout, commit)
        self._progress.files_changed, self._progress.patch = change.files, change.patch
        note_tasks(tasks_text(checkout, self._request, commit), self._progress)

    def _succeed(self, checkpoint: Checkpoint, commit: str) -> None:
        """The branch carries ``commit``, and the checkpoint has served its purpose."""
        self._progress.outcome, self._progress.reason, self._progress.commit = Outcome.SUCCEEDED, "", commit
        if not checkpoint.commit:
            try:
                checkpoint.find()
            except GitFailed as failure:
                self._edges.log.say(f"whether there is a checkpoint left cannot be told: {failure}")
        self._drop(checkpoint)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._edges.log.say(f"── {name}")
        with self._progress.phase(name):
            yield


def stop_for(error: Exception) -> BuildStopped:
    """The outcome under which ``error`` ends the build: its own, if it has one."""
    match error:
        case BuildStopped():
            return error
        case LockError():
            return BuildStopped(Outcome.LOCK_LOST, error.reason, error.remedy)
        case KiroWorkerError():
            return BuildStopped(Outcome.WORKER_FAILED, f"{type(error).__name__}: {error.reason}", error.remedy)
        case GitFailed():
            return BuildStopped(Outcome.WORKER_FAILED, f"git {error.command} failed", details=error.error)
    return BuildStopped(Outcome.WORKER_FAILED, f"{type(error).__name__}: {error}")


def tasks_text(checkout: Checkout, request: BuildRequest, commit: str) -> str:
    """``tasks.md`` as committed; empty when there is none."""
    name = f"{commit}:{request.spec_path}/{TASKS_FILE}"
    if not checkout.git.succeeds("cat-file", "-e", name):
        return ""
    return checkout.git.run("cat-file", "blob", name).decode(errors="replace")
