"""What a build does besides reading: hold the lock, run the agent and the project's tests, and push."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.records.checkpoints import KeptWork
from kiro_worker.records.runs import RunRecord, note_push, note_start
from kiro_worker.runner.agent.adapters import configured_agent
from kiro_worker.runner.agent.install import install_agent
from kiro_worker.runner.agent.known_facts import known_facts
from kiro_worker.runner.agent.loop import AgentLoop
from kiro_worker.runner.agent.task_list import load_task_list
from kiro_worker.runner.agent.trial import require_working, run_trial
from kiro_worker.runner.agent.workspace import TurnContext
from kiro_worker.runner.effects import Effects
from kiro_worker.runner.held_lock import HeldLock
from kiro_worker.runner.kept_checkpoint import KeptCheckpoint
from kiro_worker.runner.preparation import fetch_submodules, note_done_before, note_kept, note_rebased_work, note_work
from kiro_worker.runner.rebase import rebase_onto_push
from kiro_worker.runner.recording import (
    commits_between,
    recall_summary,
    record_summary,
    run_recorded_gate,
    take_recorded_baseline,
)
from kiro_worker.runner.repository.commit_style import CommitStyle
from kiro_worker.runner.repository.publish import BranchMoved, publish
from kiro_worker.runner.repository.push_check import check_push
from kiro_worker.runner.repository.submodules import Submodules
from kiro_worker.runner.sandbox.environment import BuildEnvironment
from kiro_worker.runner.spending import Spending
from kiro_worker.runner.trust.secret_scan import require_no_secret_in_work
from kiro_worker.runner.workspaces import open_workspaces
from kiro_worker.spec import TASKS_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kiro_worker.config.settings import Settings
    from kiro_worker.runner.agent.adapters import PreparedAgent
    from kiro_worker.runner.edges import BuildEdges
    from kiro_worker.runner.effects import Prepared
    from kiro_worker.runner.gate.baseline import Baseline
    from kiro_worker.runner.gate.workspace import GateWorkspace
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.checkpoint import Checkpoint
    from kiro_worker.runner.repository.finish import FinishedWork
    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.runner.trust.guard import Guard

_FIXABLE: Final = frozenset(
    {Outcome.TESTS_FAILED, Outcome.COVERAGE_BELOW_THRESHOLD, Outcome.SETUP_FAILED, Outcome.CHECKOUT_FAILED}
)
"""The outcomes of the gate that the agent can fix."""


class BuildEffects(Effects):
    """The effects of one build. ``progress`` records what it has done, and the checkpoint keeps the agent's work."""

    _gate: GateWorkspace
    _agent_log: Callable[[str], None]
    _loop: AgentLoop
    _settings: Settings
    _test_secrets: dict[str, str]
    _commit: str
    """The commit that the gate tests and that is pushed."""
    _finished: FinishedWork

    def __init__(self, request: BuildRequest, edges: BuildEdges, progress: BuildProgress) -> None:
        self._request = request
        self._edges = edges
        self._progress = progress
        self._lock = HeldLock(request, edges, progress)
        self._kept = KeptCheckpoint(edges.log.say, progress, self._lock.hold, self._note_summary)
        self._spending = Spending(request, edges, progress)
        self._run = RunRecord(request.owner, request.repository, request.branch, request.work_item_id)
        self._agent_environment = edges.environment
        self._baselines: tuple[Baseline, ...] = ()

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
        self._lock.hold()

    def use_settings(self, settings: Settings) -> None:
        """Use ``settings`` from here on, and report them in ``result.json``."""
        self._settings = self._progress.settings = settings
        self._edges = replace(self._edges, environment=BuildEnvironment(self._edges.environment, settings.environment))
        self._agent_environment = self._edges.environment

    def load_agent_key(self) -> None:
        """Load the agent's key and setup's, so that one that cannot be used costs neither a push nor setup."""
        _ = self._agent
        secrets = self._settings.secrets.items()
        self._test_secrets = {variable: self._edges.load_test_secret(name) for variable, name in secrets}
        self._edges.redaction.know(*self._test_secrets.values())

    def check_push(self, prepared: Prepared, start: KeptWork) -> KeptWork:
        """Push to the checkpoint's ref, and return where the agent starts. Raises :class:`BuildStopped`."""
        note_start(self._edges.records, self._run, prepared.checkout.commit)
        note_done_before(self._request, prepared.checkout, prepared.checkpoint, start, self._progress)
        try:
            pushed = check_push(prepared.checkout, prepared.checkpoint, start)
        finally:
            note_kept(prepared.checkpoint, self._progress)
        if not start.is_empty:
            moved = {**prepared.checkpoint.moved, start.commit: pushed.commit}
            recall_summary(self._edges, self._run.execution, self._progress, moved)
            self._progress.keep_commits(commits_between(prepared.checkout, pushed.commit))
            # A commit that is still unknown stays so, because no turn of this build makes it.
            self._progress.note_commit("")
        return pushed

    def install_agent(self) -> None:
        """Install the configured agent if it is missing."""
        environment, folder = self._edges.environment, self._edges.workspace / "agent-bin"
        self._edges.log.say(install_agent(self._settings.agent.name, environment, folder))
        path = f"{environment.get('PATH', os.defpath)}{os.pathsep}{folder}"
        self._agent_environment = BuildEnvironment({**environment, "PATH": path}, self._settings.environment)

    def try_agent(self, prepared: Prepared, start: KeptWork) -> None:
        """Give the agent a trial turn, whose cost counts like that of any other, if there is a task for it."""
        edges, agent = self._edges, self._agent
        if not load_task_list(prepared.checkout, self._request.spec_path, start.commit).pending_leaves:
            edges.log.say("no task is open, so the agent is not tried")
            return
        self._gate.secure()
        trial = run_trial(
            agent,
            edges.workspace,
            parent=self._agent_environment,
            sink=self._agent_log,
            redact=edges.redaction,
            sandbox=self._gate.agents_sandbox,
        )
        self._spending.note_turn(trial)
        require_working(agent, trial)

    @cached_property
    def _agent(self) -> PreparedAgent:
        edges, settings = self._edges, self._settings
        agent = configured_agent(settings.agent, self._request, edges.load_agent_key, settings.origins)
        self._progress.agent_unit = agent.adapter.unit
        edges.redaction.know(*agent.variables.values())
        return agent

    @contextmanager
    def sandboxed(self) -> Iterator[None]:
        """Open the agent's log, and reserve the users that the agent and the tests run as."""
        with open_workspaces(self._request, self._edges, self._settings.checks, self._test_secrets) as opened:
            self._gate, self._agent_log = opened
            try:
                yield
            finally:
                self._note_summary()
                self._spending.record()

    def set_up(self, prepared: Prepared) -> None:
        """Run the setup command, and give the agent what it installed."""
        self._gate.prepare(prepared.checkout, prepared.submodules)

    def take_baseline(self, prepared: Prepared) -> None:
        """Run the tests on the pinned commit. No earlier build's result counts, because the image may have changed."""
        self._gate.secure()
        self._baselines = take_recorded_baseline(self._edges, self._gate, prepared, self._progress)

    def implement(self, prepared: Prepared, start: KeptWork) -> None:
        """Let the agent implement the open tasks, beginning at ``start``, and keep every task that it finishes."""
        edges, progress, agent = self._edges, self._progress, self._agent
        self._gate.secure()
        context = TurnContext(
            home=self._gate.folders.home,
            sandbox=self._gate.agents_sandbox,
            environment=self._agent_environment,
            sink=self._agent_log,
            say=edges.log.say,
            redaction=edges.redaction,
            keep=lambda work: self._kept.keep(prepared.checkpoint, work),
            note_turn=self._spending.note_turn,
            guard=prepared.guard,
            steering=prepared.steering,
            submodules=prepared.submodules,
            temporary=self._gate.folders.temporary,
            is_setups=self._gate.is_setups,
            virtual_environments=self._gate.virtual_environments,
            style=CommitStyle.of(prepared.settings.commits, agent.adapter.name),
            facts=known_facts(self._settings.checks, prepared.checkout.folder, self._gate.setup_steps, self._baselines),
        )
        self._loop = AgentLoop(self._request, prepared.checkout, agent, context, progress, start)
        self._loop.work(self._settings.agent)
        if self._loop.changed_nothing:
            # Ticked boxes alone are not work that a later build could resume. Work that did not apply this time is.
            if prepared.checkpoint.commit == self._loop.commit:
                self._kept.drop(prepared.checkpoint)
            raise self._loop.nothing_changed()
        self._complete(prepared.checkout)
        edges.log.say(
            f"{len(progress.files_changed)} files changed, {progress.tasks_done} tasks done, {progress.tasks_open} open"
        )

    def pass_gate(self, prepared: Prepared) -> None:
        """Run the gate. If an earlier build finished all tasks and failed here, give the agent one turn to fix that.

        Without that turn, a redrive could only fail again. There is none for tests that failed before the work, too.
        """
        try:
            self._run_gate(prepared, self._commit)
        except BuildStopped as stop:
            is_old = stop.outcome is Outcome.TESTS_FAILED and not self._progress.gate_failed_anew
            if stop.outcome not in _FIXABLE or is_old or not self._loop.only_fixing_is_left:
                raise
            self._edges.log.say(f"{stop.outcome}: {stop.reason}")
            self._loop.fix(stop)
            self._run_gate(prepared, self._complete(prepared.checkout))
        self._note_checks(prepared, self._loop.commit, self._commit)

    def push(self, prepared: Prepared) -> str:
        """Push the work to the branch. If another push came first: rebase onto it, run the gate, and push once more."""
        in_work = dict(self._progress.commits)
        try:
            self._publish(prepared, self._commit)
        except BranchMoved as moved:
            self._progress.commits = in_work
            self._edges.log.say(
                f"{self._request.branch} is now at {moved.head[:12]}: the work is rebased onto it, once"
            )
            load_submodules = partial(self._load_submodules, prepared.guard)
            prepared, work, commits = rebase_onto_push(
                prepared, self._loop.commit, moved, load_submodules, self._edges.log.say
            )
            self._progress.move_commits(commits)
            note_rebased_work(self._request, prepared.checkout, work, self._progress)
            require_no_secret_in_work(prepared.checkout, work, self._edges.redaction.is_in)
            self._kept.keep(prepared.checkpoint, KeptWork(work, prepared.checkout.commit, work))
            self._run_gate(prepared, self._complete(prepared.checkout, work, "the other push opened them"))
            self._note_checks(prepared, work, self._commit)
            self.hold_lock()
            self._publish(prepared, self._commit)
        return self._commit

    def _complete(self, checkout: Checkout, work: str = "", why_open: str = "") -> str:
        """Return the commit for the gate and the push, which names this execution for people."""
        self._finished = self._loop.complete(checkout, work, why_open)
        self._commit = self._finished.commit
        return self._commit

    def _publish(self, prepared: Prepared, commit: str) -> None:
        """Record the commit, and push it. Without the record, a redrive could not know that the push is its own."""
        # A rebase, or an earlier build, may have made the commits.
        require_no_secret_in_work(prepared.checkout, commit, self._edges.redaction.is_in)
        self._progress.replace_commits(self._finished.moved)
        self._progress.keep_commits(commits_between(prepared.checkout, commit))
        self._note_summary()
        note_push(self._edges.records, self._run, commit)
        publish(prepared.checkout, commit, prepared.checkpoint, f"{self._request.spec_path}/{TASKS_FILE}")

    def _note_summary(self) -> None:
        record_summary(self._edges, self._run.execution, self._progress)

    def _note_checks(self, prepared: Prepared, work: str, commit: str) -> None:
        """Record that the checks are done, which ``commit`` ticks on top of ``work``, because the gate has passed."""
        if commit != work:
            note_work(self._request, prepared.checkout, commit, self._progress)
            self._progress.note_commit(commit)

    def remove_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove the checkpoint, unless the push to the branch already removed it."""
        self._kept.remove(checkpoint)

    def remove_empty_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove the checkpoint if it holds no work, because the build ends without any."""
        self._kept.remove_if_empty(checkpoint)

    def _run_gate(self, prepared: Prepared, commit: str) -> None:
        run_recorded_gate(self._edges, self._gate, prepared, commit, self._progress, self._baselines)

    def _load_submodules(self, guard: Guard, checkout: Checkout) -> Submodules:
        if not self._edges.configuration.submodules:
            return Submodules({})
        with self.phase("submodules"):
            return fetch_submodules(self._request, self._edges, checkout, guard)
