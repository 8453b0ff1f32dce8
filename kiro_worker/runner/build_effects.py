"""What a build does besides reading: hold the lock, run the agent and the project's tests, and push."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.lock.item import Subject
from kiro_worker.lock.slots import acquire_with_slot, keep_slot
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.agent.adapters import configured_agent
from kiro_worker.runner.agent.loop import AgentLoop
from kiro_worker.runner.agent.workspace import TurnContext
from kiro_worker.runner.effects import Effects
from kiro_worker.runner.gate.gate import run_gate
from kiro_worker.runner.gate.setup import Setup
from kiro_worker.runner.gate.workspace import GateWorkspace
from kiro_worker.runner.preparation import fetch_submodules, note_work
from kiro_worker.runner.repository.checkout import fetch_contents
from kiro_worker.runner.repository.commit import rebased, with_execution_trailer
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.publish import BranchMoved, publish
from kiro_worker.runner.sandbox.folders import Folders
from kiro_worker.runner.sandbox.sandbox import another_user, sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from kiro_worker.runner.edges import BuildEdges
    from kiro_worker.runner.effects import Prepared
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.repository.checkpoint import Checkpoint, Start
    from kiro_worker.runner.request import BuildRequest

_FIXABLE: Final = (Outcome.TESTS_FAILED, Outcome.COVERAGE_BELOW_THRESHOLD, Outcome.SETUP_FAILED)
"""The outcomes of the gate that the agent can fix."""


class BuildEffects(Effects):
    """The effects of one build. ``progress`` records what it has done, and the checkpoint keeps the agent's work."""

    _gate: GateWorkspace
    _agent_log: Callable[[str], None]
    _loop: AgentLoop

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

    @contextmanager
    def sandboxed(self) -> Iterator[None]:
        """Open the agent's log, and reserve the users that the agent and the tests run as."""
        edges, command = self._edges, self._edges.configuration.setup
        setup = None
        if command:
            setup = Setup(command, edges.environment, self._open_setup_log, edges.redaction)
        with (
            edges.log.sink("agent", edges.logs / "agent.log") as self._agent_log,
            sandbox(edges.environment, edges.workspace, edges.log.say) as agent,
            another_user(agent) as gate,
        ):
            folders = Folders(edges.workspace)
            self._gate = GateWorkspace(self._request, folders, agent, gate, setup, edges.log.say)
            yield

    def _open_setup_log(self) -> AbstractContextManager[Callable[[str], None]]:
        return self._edges.log.sink("setup", self._edges.logs / "setup.log")

    def set_up(self, prepared: Prepared) -> None:
        """Run the setup command, and give the agent what it installed."""
        self._gate.prepare(prepared.checkout, prepared.submodules)

    def keep(self, checkpoint: Checkpoint, commit: str) -> None:
        """Push ``commit`` to the checkpoint, under the lock like every push."""
        if commit != checkpoint.commit:
            self.hold_lock()
            checkpoint.save(commit)
        if checkpoint.commit:
            self._progress.checkpoint_branch, self._progress.checkpoint_commit = checkpoint.branch, checkpoint.commit

    def implement(self, prepared: Prepared, start: Start) -> None:
        """Let the agent implement the open tasks, beginning at ``start``, and keep every task that it finishes."""
        edges, progress, configuration = self._edges, self._progress, self._edges.configuration.agent
        agent = configured_agent(configuration, self._request, edges.load_agent_key)
        edges.redaction.know(*agent.variables.values())
        progress.agent_unit = agent.adapter.unit
        context = TurnContext(
            home=self._gate.folders.home,
            sandbox=self._gate.agents_sandbox,
            environment=edges.environment,
            sink=self._agent_log,
            say=edges.log.say,
            redaction=edges.redaction,
            keep=lambda commit: self.keep(prepared.checkpoint, commit),
            guard=prepared.guard,
            steering=prepared.steering,
            submodules=prepared.submodules,
            temporary=self._gate.folders.temporary,
        )
        self._loop = AgentLoop(self._request, prepared.checkout, agent, context, progress, start)
        self._loop.work(configuration)
        if self._loop.changed_nothing:
            # Ticked boxes alone are not work that a later build could resume.
            self._remove(prepared.checkpoint)
            raise self._loop.nothing_changed()
        edges.log.say(
            f"{len(progress.files_changed)} files changed, {progress.tasks_done} tasks done, {progress.tasks_open} open"
        )

    def pass_gate(self, prepared: Prepared) -> None:
        """Run the gate. If an earlier build finished all tasks and failed here, give the agent one turn to fix that.

        Without that turn, a redrive could only fail again.
        """
        try:
            self._run_gate(prepared, self._loop.commit)
        except BuildStopped as stop:
            is_fixable = stop.outcome in _FIXABLE
            if not is_fixable or not self._loop.only_fixing_is_left:
                raise
            self._edges.log.say(f"{stop.outcome}: {stop.reason}")
            self._loop.fix(stop)
            self._run_gate(prepared, self._loop.commit)

    def push(self, prepared: Prepared) -> str:
        """Push the work to the branch. If another push came first: rebase onto it, run the gate, and push once more."""
        log = self._edges.log.say
        commit = with_execution_trailer(prepared.checkout, self._request, self._loop.commit, log)
        try:
            publish(prepared.checkout, commit, prepared.checkpoint)
        except BranchMoved as moved:
            log(f"{self._request.branch} is now at {moved.head[:12]}: the work is rebased onto it, once")
            prepared, commit = self._rebase(prepared, commit, moved)
            note_work(self._request, prepared.checkout, commit, self._progress)
            self.keep(prepared.checkpoint, commit)
            self._run_gate(prepared, commit)
            self.hold_lock()
            publish(prepared.checkout, commit, prepared.checkpoint)
        return commit

    def remove_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove the checkpoint, unless the push to the branch already removed it."""
        if not checkpoint.commit:
            try:
                checkpoint.find()
            except GitFailed as failure:
                self._edges.log.say(f"could not check whether a checkpoint remains: {failure}")
        self._remove(checkpoint)

    def _remove(self, checkpoint: Checkpoint) -> None:
        checkpoint.drop()
        self._progress.checkpoint_branch = checkpoint.branch if checkpoint.commit else ""
        self._progress.checkpoint_commit = checkpoint.commit

    def _run_gate(self, prepared: Prepared, commit: str) -> None:
        """Run the gate on ``commit``, in new folders, and record its result."""
        edges, progress = self._edges, self._progress
        with (
            self._gate.opened(prepared.checkout, prepared.submodules, commit) as folders,
            edges.log.sink("tests", edges.logs / "tests.log") as sink,
        ):
            result = run_gate(
                edges.configuration,
                folders.checkout,
                folders.home,
                parent=edges.environment,
                sink=sink,
                redact=edges.redaction,
                patch=progress.patch,
                keep=edges.logs / "reports",
                sandbox=self._gate.gate,
                temporary=folders.temporary,
            )
        progress.tests, progress.test_command = result.summary, result.command
        progress.coverage_line = result.coverage_line

    def _rebase(self, prepared: Prepared, commit: str, moved: BranchMoved) -> tuple[Prepared, str]:
        """Return the work rebased onto the branch's new head.

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
        tip = with_execution_trailer(new_checkout, self._request, tip, log)
        return replace(prepared, checkout=new_checkout, submodules=submodules), tip
