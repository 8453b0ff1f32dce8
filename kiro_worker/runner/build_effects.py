"""What a build does besides reading: hold the lock, run the agent and the project's tests, and push."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.errors import BuildStopped, KiroWorkerError
from kiro_worker.lock.item import Subject
from kiro_worker.lock.slots import acquire_with_slot, keep_slot
from kiro_worker.outcomes import Outcome
from kiro_worker.records.runs import RunRecord, note_push
from kiro_worker.runner.agent.adapters import configured_agent
from kiro_worker.runner.agent.install import install_kiro_cli
from kiro_worker.runner.agent.loop import AgentLoop
from kiro_worker.runner.agent.workspace import TurnContext, clean
from kiro_worker.runner.effects import Effects
from kiro_worker.runner.gate.gate import run_gate
from kiro_worker.runner.preparation import fetch_submodules, note_work
from kiro_worker.runner.report.artifacts import REPORTS
from kiro_worker.runner.repository.checkout import fetch_contents
from kiro_worker.runner.repository.commit import rebased, with_execution_trailer
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.publish import BranchMoved, publish
from kiro_worker.runner.repository.push_check import check_push
from kiro_worker.runner.sandbox.sandbox import lend_objects, sandbox
from kiro_worker.spec import TASKS_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kiro_worker.runner.agent.adapters import PreparedAgent
    from kiro_worker.runner.edges import BuildEdges
    from kiro_worker.runner.effects import Prepared
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.repository.checkpoint import Checkpoint, Start
    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.runner.sandbox.sandbox import Sandbox


class BuildEffects(Effects):
    """The effects of one build. ``progress`` records what it has done, and the checkpoint keeps the agent's work."""

    _sandbox: Sandbox
    _agent_log: Callable[[str], None]
    _loop: AgentLoop
    _commit: str
    """The commit that the gate tests and that is pushed."""

    def __init__(self, request: BuildRequest, edges: BuildEdges, progress: BuildProgress) -> None:
        self._request = request
        self._edges = edges
        self._progress = progress
        self._lease = request.lease

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Log and time the phase. Every error ends the build."""
        self._edges.log.say(f"── {name}")
        with self._progress.phase(name):
            yield

    def note(self, topic: str, text: str, fact: Any = None) -> None:  # noqa: ARG002  # the dry run needs both
        """Log ``text``."""
        self._edges.log.say(text)

    def hold_lock(self) -> None:
        """Make sure that this run holds the lock. A build that a person started acquires it on the first call."""
        request, locks, configuration = self._request, self._edges.locks, self._edges.configuration
        build_id = self._edges.environment.get("CODEBUILD_BUILD_ID", "")
        subject = Subject(request.work_item_id, request.repository, request.branch, build_id=build_id)
        if request.started_by_hand and not self._lease.fence:
            key, owner = self._lease.lock_key, self._lease.owner
            self._lease = acquire_with_slot(locks, configuration, key, owner, subject)
        else:
            self._lease = locks.ensure(self._lease, subject)
            # Recorded before the slot check: a build that a person started must release the lock even if that fails.
            self._progress.fence = self._lease.fence
            self._lease = keep_slot(locks, configuration, self._lease, subject)
        self._progress.fence, self._progress.slot = self._lease.fence, self._lease.slot

    def check_push(self, prepared: Prepared, start: Start) -> Start:
        """Push to the checkpoint's ref, and return where the agent starts. Raises :class:`BuildStopped`."""
        try:
            return check_push(prepared.checkout, prepared.checkpoint, start)
        finally:
            self._note_checkpoint(prepared.checkpoint)

    def install_agent(self) -> None:
        """Install the Kiro CLI if it is missing. A key that cannot be used ends the build before the download."""
        edges, folder = self._edges, self._edges.workspace / "agent-bin"
        _ = self._agent
        edges.log.say(install_kiro_cli(edges.environment, folder))
        path = f"{edges.environment.get('PATH', os.defpath)}{os.pathsep}{folder}"
        self._edges = replace(edges, environment={**edges.environment, "PATH": path})

    @cached_property
    def _agent(self) -> PreparedAgent:
        edges = self._edges
        agent = configured_agent(edges.configuration.agent, self._request, edges.load_agent_key)
        edges.redaction.know(*agent.variables.values())
        return agent

    @contextmanager
    def sandboxed(self) -> Iterator[None]:
        """Open the agent's log, and reserve the user that the agent and the tests run as."""
        edges = self._edges
        with (
            edges.log.sink("agent", edges.logs / "agent.log") as self._agent_log,
            sandbox(edges.environment, edges.workspace, edges.log.say) as self._sandbox,
        ):
            yield

    def keep(self, checkpoint: Checkpoint, commit: str) -> None:
        """Push ``commit`` to the checkpoint, under the lock like every push."""
        if commit != checkpoint.commit:
            self.hold_lock()
            checkpoint.save(commit)
        self._note_checkpoint(checkpoint)
        if failure := checkpoint.failure:
            stop = stop_because(failure, Outcome.PUSH_REJECTED, "the checkpoint could not be pushed", "")
            self._progress.checkpoint_problem = stop.reason

    def implement(self, prepared: Prepared, start: Start) -> None:
        """Let the agent implement the open tasks, beginning at ``start``, and keep every task that it finishes."""
        edges, progress, configuration = self._edges, self._progress, self._edges.configuration.agent
        agent = self._agent
        progress.agent_unit = agent.adapter.unit
        context = TurnContext(
            home=edges.workspace / "agent-home",
            sandbox=self._sandbox,
            environment=edges.environment,
            sink=self._agent_log,
            say=edges.log.say,
            redaction=edges.redaction,
            keep=lambda commit: self.keep(prepared.checkpoint, commit),
            guard=prepared.guard,
            steering=prepared.steering,
            submodules=prepared.submodules,
        )
        self._loop = AgentLoop(self._request, prepared.checkout, agent, context, progress, start)
        self._loop.work(configuration)
        if self._loop.changed_nothing:
            # Ticked boxes alone are not work that a later build could resume.
            self._remove(prepared.checkpoint)
            raise self._loop.nothing_changed()
        self._commit = self._loop.complete()
        edges.log.say(
            f"{len(progress.files_changed)} files changed, {progress.tasks_done} tasks done, {progress.tasks_open} open"
        )

    def pass_gate(self, prepared: Prepared) -> None:
        """Run the gate. If an earlier build finished all tasks and failed here, give the agent one turn to fix that.

        Without that turn, a redrive could only fail again.
        """
        try:
            self._run_gate(prepared)
        except BuildStopped as stop:
            is_fixable = stop.outcome in (Outcome.TESTS_FAILED, Outcome.COVERAGE_BELOW_THRESHOLD)
            if not is_fixable or not self._loop.only_fixing_is_left:
                raise
            self._edges.log.say(f"{stop.outcome}: {stop.reason}")
            self._loop.fix(stop)
            self._commit = self._loop.complete()
            self._run_gate(prepared)
        self._note_checks(prepared, self._loop.commit, self._commit)

    def push(self, prepared: Prepared) -> str:
        """Push the work to the branch. If another push came first: rebase onto it, run the gate, and push once more."""
        log = self._edges.log.say
        commit = with_execution_trailer(prepared.checkout, self._request, self._commit, log)
        try:
            self._publish(prepared, commit)
        except BranchMoved as moved:
            log(f"{self._request.branch} is now at {moved.head[:12]}: the work is rebased onto it, once")
            prepared, work = self._rebase(prepared, self._loop.commit, moved)
            note_work(self._request, prepared.checkout, work, self._progress)
            self.keep(prepared.checkpoint, work)
            commit = self._loop.complete(prepared.checkout, work, "the other push opened them")
            self._run_gate(prepared)
            self._note_checks(prepared, work, commit)
            self.hold_lock()
            self._publish(prepared, commit)
        return commit

    def _publish(self, prepared: Prepared, commit: str) -> None:
        """Record the commit, and push it. Without the record, a redrive could not know that the push is its own."""
        request = self._request
        run = RunRecord(request.owner, request.repository, request.branch, request.work_item_id)
        note_push(self._edges.records, run, commit)
        publish(prepared.checkout, commit, prepared.checkpoint, f"{request.spec_path}/{TASKS_FILE}")

    def _note_checks(self, prepared: Prepared, work: str, commit: str) -> None:
        """Record that the checks are done, which ``commit`` ticks on top of ``work``, because the gate has passed."""
        if commit != work:
            note_work(self._request, prepared.checkout, commit, self._progress)

    def remove_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove the checkpoint, unless the push to the branch already removed it."""
        if not checkpoint.commit:
            try:
                checkpoint.find()
            except GitFailed as failure:
                self._edges.log.say(f"could not check whether a checkpoint remains: {failure}")
        self._remove(checkpoint)

    def remove_empty_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove the checkpoint if it holds no work, under the lock like every push.

        If another run holds the lock, that run may have found the checkpoint, and replaces or removes it itself. Why
        the build ends is more important than an error here.
        """
        if not checkpoint.commit or checkpoint.has_work:
            return
        try:
            self.hold_lock()
            checkpoint.drop()
        except (KiroWorkerError, BotoCoreError, ClientError) as error:
            self._edges.log.say(f"{checkpoint.ref}, which holds no work, was not removed: {error}")

    def _remove(self, checkpoint: Checkpoint) -> None:
        checkpoint.drop()
        self._note_checkpoint(checkpoint)

    def _note_checkpoint(self, checkpoint: Checkpoint) -> None:
        progress, has_work = self._progress, checkpoint.has_work
        progress.checkpoint_ref = checkpoint.ref if has_work else ""
        progress.checkpoint_commit = checkpoint.commit if has_work else ""
        progress.checkpoint_ignored, progress.checkpoint_problem = checkpoint.ignored, ""

    def _run_gate(self, prepared: Prepared) -> None:
        """Run the gate on the files as they were committed, and record its result."""
        edges, progress, folder = self._edges, self._progress, prepared.checkout.folder
        home = edges.workspace / "tests-home"
        # What an earlier gate measured is no verdict on this commit.
        progress.tests, progress.test_command, progress.coverage_line = "", (), ""
        shutil.rmtree(edges.logs / REPORTS, ignore_errors=True)
        # A resumed build may reach the gate without a turn of the agent, and the tests may run git, too.
        lend_objects(prepared.checkout.git.directory)
        prepared.submodules.materialize(prepared.checkout)
        with edges.log.sink("tests", edges.logs / "tests.log") as sink:
            self._sandbox.grant(folder, home)
            try:
                result = run_gate(
                    edges.configuration,
                    folder,
                    home,
                    parent=edges.environment,
                    sink=sink,
                    redact=edges.redaction,
                    patch=progress.patch,
                    keep=edges.logs / REPORTS,
                    sandbox=self._sandbox,
                )
            finally:
                self._sandbox.reclaim(folder, home)
        progress.tests, progress.test_command = result.summary, result.command
        progress.coverage_line = result.coverage_line

    def _rebase(self, prepared: Prepared, commit: str, moved: BranchMoved) -> tuple[Prepared, str]:
        """Return the work rebased onto the branch's new head, checked out for the gate.

        Raises :class:`BuildStopped` if it does not apply cleanly.
        """
        checkout, log = prepared.checkout, self._edges.log.say
        git, reference = checkout.git, f"refs/remotes/origin/{checkout.branch}"
        try:
            fetch = ("fetch", "--quiet", "--no-tags", "--no-filter", "origin")
            git.network(*fetch, f"+refs/heads/{checkout.branch}:{reference}")
            head = git.text("rev-parse", "--verify", reference)
            # A push that restores an old file brings no blob that the server believes is here: see fetch_objects.
            fetch_contents(checkout, f"{head}^{{tree}}")
        except GitFailed:
            raise moved from None
        is_ahead = git.succeeds("merge-base", "--is-ancestor", checkout.commit, head)
        tip = rebased(checkout, checkout.commit, commit, head, log) if is_ahead else ""
        if not tip or tip == head:
            reason = f"{moved.reason}, and the work does not apply cleanly to that push"
            raise BuildStopped(moved.outcome, reason, moved.remedy, moved.details)
        # Forget the default branch's commit, so that it is fetched again: the agent may have worked for hours.
        new_checkout = replace(checkout, commit=head, head=head, default="")
        guard = prepared.guard
        guard.require_trusted(new_checkout)
        # A file that was not guarded before can be guarded now: the other push may have added a link that leads to it.
        guard.require_unchanged(new_checkout, head, tip)
        submodules = prepared.submodules
        if self._edges.configuration.submodules:
            with self.phase("submodules"):
                submodules = fetch_submodules(self._request, self._edges, new_checkout, guard)
        prepared.checkpoint.rebase(new_checkout)
        clean(new_checkout, tip)
        tip = with_execution_trailer(new_checkout, self._request, tip, log)
        return replace(prepared, checkout=new_checkout, submodules=submodules), tip
