"""The pipeline of a build and of a dry run.

    hold the lock → check out the pinned commit → settings → guard → agent's key → push check → submodules and central
    steering files → install the agent → try the agent → set up → baseline → agent, task by task → completeness check →
    gate → hold the lock → record → push → report

Every step that writes or spends is a method of :class:`~kiro_worker.runner.effects.Effects`; all others only read.
:mod:`kiro_worker.runner.main` reports a build, and :mod:`kiro_worker.runner.dry_run` prints what a dry run found.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.records.checkpoints import KeptWork
from kiro_worker.runner.agent.install import program_of
from kiro_worker.runner.effects import Prepared
from kiro_worker.runner.gate.setup import is_set_up
from kiro_worker.runner.preparation import (
    check_out_request,
    fetch_submodules,
    find_earlier_push,
    note_earlier_push,
    note_work,
    read_central_steering,
    read_settings,
)
from kiro_worker.runner.repository.checkout import require_unmoved_branch
from kiro_worker.runner.repository.checkpoint import Checkpoint
from kiro_worker.runner.repository.commit_style import CommitStyle
from kiro_worker.runner.trust.guard import Guard

if TYPE_CHECKING:
    from kiro_worker.runner.edges import Edges
    from kiro_worker.runner.effects import Effects
    from kiro_worker.runner.progress import BuildProgress
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.request import BuildRequest


class Pipeline:
    """One run of the pipeline for ``request``; ``progress`` records how far it gets."""

    def __init__(self, request: BuildRequest, edges: Edges, effects: Effects, progress: BuildProgress) -> None:
        self._request = request
        self._edges = edges
        self._effects = effects
        self._progress = progress
        self._guard = Guard(
            request,
            edges.configuration,
            lambda label: edges.read_labeling(request, label),
            partial(effects.note, "guard"),
        )

    def run(self) -> None:
        """Run every phase, and return when the branch contains the work.

        Raises :class:`BuildStopped`, another :class:`KiroWorkerError` or :class:`GitFailed` if anything prevents that.
        The checkpoint then keeps the tasks that were finished.
        """
        effects = self._effects
        with effects.phase("hold the lock"):
            effects.hold_lock()
        with effects.phase("check out"):
            checkout = check_out_request(self._request, self._edges)
            if self._edges.configuration.lfs:
                effects.note("lfs", "LFS files are checked out", fact=True)
        pushed = find_earlier_push(self._request, self._edges, checkout)
        with effects.phase("settings"):
            settings = read_settings(self._request, self._edges, checkout, has_pushed=bool(pushed))
            effects.use_settings(settings)
            guarded = self._edges.configuration.for_agent(settings.agent.name)
            self._guard = replace(self._guard, configuration=guarded)
            checkout.git.author = CommitStyle.of(settings.commits).author
        checkpoint = Checkpoint(self._request, checkout, self._edges.records, partial(effects.note, "checkpoint"))
        prepared = Prepared(checkout, checkpoint, self._guard, settings)
        if pushed:
            self._accept_earlier_attempt(prepared, pushed)
            return
        require_unmoved_branch(checkout)
        with effects.phase("guard"):
            self._require_trusted(checkout)
        try:
            self._implement(prepared)
        except BaseException:
            effects.remove_empty_checkpoint(checkpoint)
            raise

    def _implement(self, prepared: Prepared) -> None:
        effects, start = self._effects, KeptWork.none_at(prepared.checkout.commit)
        # After the search for an earlier push, which needs no agent. The git credentials are checked by the checkout.
        with effects.phase("agent's key"):
            effects.load_agent_key()
        with effects.phase("push check"):
            effects.hold_lock()
            start = effects.check_push(prepared, self._resume(prepared))
        self._load_submodules(prepared)
        self._load_steering(prepared)
        with effects.sandboxed():
            if program_of(prepared.settings.agent.name):
                with effects.phase("install the agent"):
                    effects.install_agent()
                with effects.phase("try the agent"):
                    effects.try_agent(prepared, start)
            if is_set_up(prepared.settings.checks):
                with effects.phase("set up"):
                    effects.set_up(prepared)
            if prepared.settings.baseline != "off":
                with effects.phase("baseline"):
                    effects.take_baseline(prepared)
            with effects.phase("agent"):
                effects.hold_lock()
                effects.implement(prepared, start)
            with effects.phase("tests"):
                effects.pass_gate(prepared)
            with effects.phase("push"):
                effects.hold_lock()
                commit = effects.push(prepared)
        self._succeed(prepared, commit)

    def _accept_earlier_attempt(self, prepared: Prepared, commit: str) -> None:
        note_earlier_push(self._request, prepared.checkout, prepared.checkpoint, commit, self._progress)
        self._succeed(prepared, commit)
        self._progress.reason = "an earlier attempt of this execution has already pushed; nothing was run again"

    def _require_trusted(self, checkout: Checkout) -> None:
        different = self._guard.require_trusted(checkout)
        found = f"{len(different)} guarded files" if different else "no guarded file"
        self._effects.note(
            "guard",
            f"the branch changes {found}, compared with the default branch ({checkout.default[:12]})",
            {"different": list(different)},
        )

    def _load_submodules(self, prepared: Prepared) -> None:
        if not self._edges.configuration.submodules:
            return
        with self._effects.phase("submodules"):
            prepared.submodules = fetch_submodules(self._request, self._edges, prepared.checkout, self._guard)
            paths = list(prepared.submodules.repositories)
            self._effects.note("submodules", f"submodules: {', '.join(map(ascii, paths)) or 'none'}", paths)

    def _load_steering(self, prepared: Prepared) -> None:
        source = self._edges.configuration.steering
        if source is None:
            return
        with self._effects.phase("steering"):
            steering = prepared.steering = read_central_steering(source, self._edges)
            self._progress.steering_source, self._progress.steering_version = source, steering.version
            self._effects.note(
                "steering",
                f"version {steering.version} of {source}: {', '.join(steering.files)}",
                {"source": source, "version": steering.version, "files": list(steering.files)},
            )

    def _resume(self, prepared: Prepared) -> KeptWork:
        """Return where the agent starts: at an earlier build's checkpoint if there is one and the guard trusts it."""
        checkout, checkpoint = prepared.checkout, prepared.checkpoint
        start = checkpoint.resume()
        if start.commit == checkout.commit:
            return start
        try:
            # Files that steer the agent must not come from an agent, either.
            self._guard.require_trusted(checkout, start.commit)
        except BuildStopped as stop:
            self._effects.note("checkpoint", f"the checkpoint is not used, and the work starts over: {stop.reason}")
            return KeptWork.none_at(checkout.commit)
        note_work(self._request, checkout, start.commit, self._progress)
        return start

    def _succeed(self, prepared: Prepared, commit: str) -> None:
        self._progress.outcome, self._progress.reason, self._progress.commit = Outcome.SUCCEEDED, "", commit
        self._effects.remove_checkpoint(prepared.checkpoint)
