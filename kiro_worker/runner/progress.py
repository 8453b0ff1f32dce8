"""What a build has done so far, for its report."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from kiro_worker.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from kiro_worker.config.settings import Settings
    from kiro_worker.errors import BuildStopped
    from kiro_worker.outcomes import FaultOwner
    from kiro_worker.records.summaries import FailedTest, GateNote, Turn


class Phase(NamedTuple):
    """A phase of the pipeline. ``start`` counts seconds since the build started, ``seconds`` is the duration."""

    name: str
    start: float
    seconds: float


@dataclass
class BuildProgress:
    """What the pipeline records as it goes, so that a build that fails half-way reports what it did until then.

    ``error`` is the name of the worker's own error that ended the build; empty if the outcome alone describes it.
    ``retry_after`` is when another attempt may succeed, in epoch seconds; 0 if that is not known.
    ``checkpoint_ref`` and ``checkpoint_commit`` are empty while the checkpoint holds no work. ``checkpoint_ignored`` is
    a commit on its ref that the worker did not write, and ``checkpoint_problem`` is why the last task is not on it.
    ``tasks_done``, ``tasks_open`` and ``open_tasks`` (their names) are about required tasks only. ``done_before`` are
    the identities of the tasks that were done before this run, and ``tasks_done_before`` is their number; ``None`` if
    that is not known. ``done_tasks`` are the names of those that this run has done, and ``commits`` the commits that
    finished them, by identity; empty if that is not known. ``settings`` are the effective settings of the repository.
    ``baseline`` and ``gate`` are what the tests showed before the agent, and what the last gate measured; ``None``
    before that. ``failed_tests`` stopped the build, and ``gate_notes`` are what reviewers have to know about the tests.
    ``gate_failed_anew`` means that the work made the last gate fail, so that the agent may be able to fix it.
    """

    outcome: Outcome = Outcome.WORKER_FAILED
    reason: str = ""
    remedy: str = ""
    details: str = ""
    fault_owner: FaultOwner | None = None
    error: str = ""
    retry_after: int = 0
    fence: int = 0
    slot: str = ""
    commit: str = ""
    tasks_done: int | None = None
    tasks_open: int | None = None
    tasks_done_before: int | None = None
    tasks_optional: int | None = None
    open_tasks: tuple[str, ...] = ()
    done_before: frozenset[str] | None = None
    done_tasks: dict[str, str] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    settings: Settings | None = None
    tests: str = ""
    test_command: tuple[str, ...] = ()
    baseline: dict[str, Any] | None = None
    gate: dict[str, Any] | None = None
    failed_tests: tuple[FailedTest, ...] = ()
    gate_notes: tuple[GateNote, ...] = ()
    gate_failed_anew: bool = True
    files_changed: tuple[str, ...] = ()
    patch: bytes = field(default=b"", repr=False)
    agent_credits: float | None = None
    agent_seconds: float | None = None
    agent_unit: str = "credits"
    artifacts: str = ""
    seconds: float = 0.0
    phases: list[Phase] = field(default_factory=list)
    checkpoint_ref: str = ""
    checkpoint_commit: str = ""
    checkpoint_ignored: str = ""
    checkpoint_problem: str = ""
    coverage_line: str = ""
    steering_source: str = ""
    steering_version: str = ""
    _started: float = field(default_factory=time.monotonic, repr=False)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Record when a phase starts and how long it takes, however it ends."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.phases.append(Phase(name, round(started - self._started, 3), round(time.monotonic() - started, 3)))

    def note_commit(self, commit: str) -> None:
        """Record that ``commit`` finished the tasks that are done now and that no earlier commit finished."""
        for identity in self.done_tasks:
            self.commits.setdefault(identity, commit)

    def keep_commits(self, kept: Collection[str]) -> None:
        """Forget every commit that is not in ``kept``, the commits that lead to the one that is pushed."""
        self.commits = {identity: commit if commit in kept else "" for identity, commit in self.commits.items()}

    def replace_commits(self, replaced: Mapping[str, str]) -> None:
        """Replace each commit that has a counterpart in ``replaced``."""
        self.commits = {identity: replaced.get(commit, commit) for identity, commit in self.commits.items()}

    def move_commits(self, moved: Mapping[str, str]) -> None:
        """Replace each commit by its counterpart in ``moved``. One without a counterpart is not part of the work."""
        self.commits = {
            identity: moved.get(commit, "")
            for identity, commit in self.commits.items()
            if commit in moved or not commit
        }

    def stopped(self, stop: BuildStopped) -> None:
        """Record why the build ends here."""
        self.outcome, self.remedy, self.details = stop.outcome, stop.remedy, stop.details
        self.fault_owner, self.error, self.retry_after = stop.owner, stop.error, stop.retry_after
        self.reason = "; ".join(filter(None, (stop.reason, self.checkpoint_problem)))
