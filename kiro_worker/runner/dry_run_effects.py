"""The effects of a dry run: they read what a build would work on, and add it to the plan."""

from __future__ import annotations

import shlex
import shutil
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.config.settings import settings_document
from kiro_worker.errors import BuildStopped, KiroWorkerError
from kiro_worker.lock.keys import slot_keys
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.agent.adapters import configured_agent
from kiro_worker.runner.agent.task_list import load_task_list, require_visible_spec
from kiro_worker.runner.agent.workspace import materialize
from kiro_worker.runner.effects import Effects
from kiro_worker.runner.gate.detect import with_report_options
from kiro_worker.runner.gate.run import find_test_command, full_run
from kiro_worker.runner.gate.setup import plan_setup
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.sandbox.environment import scrubbed_environment
from kiro_worker.runner.stops import stop_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from kiro_worker.config.settings import Check, Settings
    from kiro_worker.lock.table import LockTable
    from kiro_worker.records.checkpoints import KeptWork
    from kiro_worker.runner.edges import Edges
    from kiro_worker.runner.effects import Prepared
    from kiro_worker.runner.plan import Plan
    from kiro_worker.runner.repository.checkpoint import Checkpoint
    from kiro_worker.runner.request import BuildRequest

_REQUIRED_PHASE: Final = "check out"
"""If this phase fails, no later phase can be checked."""
_RUN_FOLDER: Final = "runs/<the build's id>/<the build's number>/"


class AwsNotAvailable(Exception):
    """Raised where a dry run without AWS cannot check something."""


class DryRunEffects(Effects):
    """Notes in ``plan`` what a build would do. Without AWS, ``locks`` is ``None`` and ``bucket`` is empty."""

    _settings: Settings

    def __init__(self, request: BuildRequest, edges: Edges, plan: Plan, locks: LockTable | None, bucket: str) -> None:
        self._request = request
        self._edges = edges
        self._plan = plan
        self._locks = locks
        self._bucket = bucket
        self._lock_is_noted = False
        self._start = request.commit

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Note an error and continue, so that one dry run finds everything that would stop the build."""
        try:
            yield
        except AwsNotAvailable:
            self._plan.note(name, "not checked without AWS")
        except (BuildStopped, KiroWorkerError, GitFailed) as error:
            if name == _REQUIRED_PHASE:
                raise
            self._plan.block(stop_for(error))

    def note(self, topic: str, text: str, fact: Any = None) -> None:
        """Add the finding to the plan."""
        self._plan.note(topic, text, fact)

    def hold_lock(self) -> None:
        """On the first call, note who holds the lock and whether a slot is free."""
        if self._lock_is_noted:
            return
        self._lock_is_noted = True
        if self._locks is None:
            self._plan.note("lock", f"{self._request.lease.lock_key}: not checked without AWS")
            return
        self._note_holder(self._locks)
        self._note_slots(self._locks)

    def use_settings(self, settings: Settings) -> None:
        """Note where the settings come from."""
        self._settings = settings
        sources = ", ".join(dict.fromkeys(settings.origins.values())) or "defaults"
        self._plan.note("settings", f"from {sources}", settings_document(settings))

    def load_agent_key(self) -> None:
        """Load nothing, because no part of the plan depends on the agent's key."""

    def check_push(self, prepared: Prepared, start: KeptWork) -> KeptWork:
        """Note what a build would push, and which records decided where the agent starts."""
        records = self._edges.records
        read = f"read from the table {records.name}" if records else "not read without AWS, so no checkpoint is used"
        self._plan.note("records", read, {"table": records.name if records else None})
        ref = prepared.checkpoint.ref
        self._plan.note("push check", f"not done in a dry run: a build would first push to {ref}")
        return start

    def install_agent(self) -> None:
        """Install nothing: the plan says whether this machine has the agent."""

    def try_agent(self, prepared: Prepared, start: KeptWork) -> None:  # noqa: ARG002  # the build needs both
        """Start nothing, because a turn costs money."""
        self._plan.note("trial turn", "not in a dry run: a build would first ask the agent to reply with OK")

    def sandboxed(self) -> AbstractContextManager[None]:
        """Prepare nothing, because neither the agent nor the tests run."""
        return nullcontext()

    def set_up(self, prepared: Prepared) -> None:
        """Note how each check would be set up, and why."""
        steps = plan_setup(self._settings.checks, prepared.checkout.folder)
        for step in steps:
            where = f" in {step.directory}" if step.directory else ""
            shown = f"detected{where}: {step.reason}" if step.reason else f"{shlex.join(step.words)}{where}"
            self._plan.note("setup", shown)
        self._plan.facts["setup"] = [
            {"directory": step.directory, "command": list(step.words), "reason": step.reason} for step in steps
        ]
        if not steps:
            self._plan.note("setup", "nothing to install is configured or detected")

    def take_baseline(self, prepared: Prepared) -> None:  # noqa: ARG002  # the build needs it
        """Note that the tests would run before the agent."""
        mode = self._settings.baseline
        counted = (
            "failures that a report names do not count later" if mode == "known" else "every failure ends the build"
        )
        self._plan.note("baseline", f"{mode}: the tests would run before the agent, and {counted}", mode)

    def implement(self, prepared: Prepared, start: KeptWork) -> None:
        """Note the agent's command line and the tasks of each of its turns."""
        checkout, checkpoint = prepared.checkout, prepared.checkpoint
        self._start = start.commit
        if start.commit != checkout.commit:
            materialize(checkout, start.commit)
        elif not checkpoint.has_work:
            self._plan.note("checkpoint", "none: the agent would start at the branch's head")
        self._plan.facts["checkpoint"] = {
            "commit": checkpoint.commit,
            "startsAt": start.commit,
            "ignored": checkpoint.ignored,
        }
        configured = self._settings.agent
        # Without the agent's key, because no part of the plan depends on it.
        agent = configured_agent(configured, self._request, lambda: "")
        path = shutil.which(agent.argv[0], path=self._edges.environment.get("PATH"))
        self._plan.note(
            "agent",
            f"{shlex.join(agent.argv)}, at most {configured.timeout_minutes} minutes per turn;"
            f" on this machine: {path or 'not installed'}",
            {"name": agent.adapter.name, "argv": list(agent.argv), "timeoutMinutes": configured.timeout_minutes},
        )
        require_visible_spec(checkout, self._request.spec_path)
        task_list = load_task_list(checkout, self._request.spec_path, start.commit)
        names = [task.name for task in task_list.pending_leaves]
        turns = [names] if configured.mode == "all" and names else [[name] for name in names]
        self._plan.facts["turns"] = turns
        for number, turn in enumerate(turns, 1):
            self._plan.note(f"turn {number}", "; ".join(turn))
        if not turns:
            self._plan.note("turns", "none: no task is open, so the gate would test the work of the checkpoint")

    def pass_gate(self, prepared: Prepared) -> None:
        """Note the test command and the required coverage."""
        checks = self._settings.checks
        for check in checks:
            self._note_check(check, prepared, f"{check.name}: " if len(checks) > 1 else "")

    def _note_check(self, check: Check, prepared: Prepared, name: str) -> None:
        folder = prepared.checkout.folder / check.directory
        command, source = find_test_command(check, folder, is_set_up=check.setup is not None), "configured"
        if not check.test:
            command = self._with_report_options(command, folder)
            command = command if self._settings.baseline == "off" else full_run(command)
            source = f"detected in the files of {self._start[:12]}"
        self._plan.note("tests", f"{name}{shlex.join(command)} ({source})", {"command": list(command)})
        threshold, mode = check.coverage.threshold, check.coverage.mode
        lines = "changed lines" if mode == "changed" else "lines"
        required = "not required" if threshold is None else f"at least {threshold:g} % of the {lines}"
        required += ", if coverage is measured" if threshold is not None and check.coverage.is_default else ""
        report = f", read from {check.coverage.report}" if check.coverage.report else ""
        self._plan.note(
            "coverage",
            name + required + report,
            {"threshold": threshold, "mode": mode, "report": check.coverage.report},
        )

    def push(self, prepared: Prepared) -> str:
        """Note where the branch, the checkpoint and the artifacts would go."""
        url, branch, checkpoint = prepared.checkout.git.url, self._request.branch, prepared.checkpoint.ref
        self._plan.note(
            "push",
            f"{branch} of {url}; until then each finished task to {checkpoint}",
            {"url": url, "branch": branch, "checkpointRef": checkpoint},
        )
        artifacts = f"s3://{self._bucket}/{_RUN_FOLDER}" if self._bucket else f"{_RUN_FOLDER} of the artifacts bucket"
        self._plan.note("artifacts", artifacts, artifacts)
        return self._start

    def remove_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Leave the checkpoint as it is."""

    def remove_empty_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Leave the checkpoint as it is."""

    def _note_holder(self, locks: LockTable) -> None:
        key = self._request.lease.lock_key
        holder = locks.read(key)
        if not holder.owner:
            self._plan.note("lock", f"{key} is free", {"key": key, "owner": None})
            return
        fact = {"key": key, "owner": holder.owner, "since": holder.acquired_at}
        if not locks.is_active(holder):
            self._plan.note("lock", f"{key} would be taken over from {holder.owner}, which has ended", fact)
            return
        self._plan.note("lock", f"{key} is held by {holder.owner}", fact)
        reason = f"the lock {key} has been held by {holder.owner} since {holder.acquired_at or 'an unknown time'}"
        self._plan.block(BuildStopped(Outcome.LOCK_LOST, reason, "wait until that run has ended, or stop it"))

    def _note_slots(self, locks: LockTable) -> None:
        keys = slot_keys(self._edges.configuration)
        if not keys:
            return
        holders = [holder for holder in locks.read_many(keys) if holder.owner and locks.is_active(holder)]
        owners = [holder.owner for holder in holders]
        self._plan.note(
            "slots", f"{len(keys) - len(owners)} of {len(keys)} free", {"total": len(keys), "owners": owners}
        )
        if len(owners) == len(keys):
            reason = f"no slot is free: {', '.join(owners)}"
            self._plan.block(BuildStopped(Outcome.LOCK_LOST, reason, "wait until one of these builds has ended"))

    def _with_report_options(self, command: tuple[str, ...], folder: Path) -> tuple[str, ...]:
        """Return ``command`` as the gate would run it.

        Starts Python to look for its plug-ins, in an empty folder, so that no code of the branch runs.
        """
        home = self._edges.workspace / "home"
        home.mkdir()
        options = with_report_options(command, folder, home, scrubbed_environment(home, self._edges.environment))
        return tuple(word.replace(str(home), "$HOME") for word in options.words)
