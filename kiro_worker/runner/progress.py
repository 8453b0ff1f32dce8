"""How a step of the story says that the build ends here, and what the whole build has to say when it ended."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.errors import KiroWorkerError, LockError
from kiro_worker.models import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stopped(Exception):
    """The build ends here, for a named reason. ``remedy`` is what mends it, mostly a command; ``details`` the last
    lines of a child's output.
    """

    def __init__(self, outcome: Outcome, reason: str, remedy: str = "", details: str = "") -> None:
        super().__init__(outcome, reason, remedy, details)
        self.outcome = outcome
        self.reason = reason
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        return f"{self.outcome}: {self.reason}" + (f"\nTo mend it: {self.remedy}" if self.remedy else "")


def stop_for(error: Exception) -> Stopped:
    """The name under which an error ends the build: its own, if it has one."""
    match error:
        case Stopped():
            return error
        case LockError():
            return Stopped(Outcome.LOCK_LOST, error.what, error.remedy)
        case KiroWorkerError():
            return Stopped(Outcome.WORKER_FAILED, f"{type(error).__name__}: {error.what}", error.remedy)
        case GitFailed():
            return Stopped(Outcome.WORKER_FAILED, f"git {error.command} failed", details=error.error)
    return Stopped(Outcome.WORKER_FAILED, f"{type(error).__name__}: {error}")


class Phase(NamedTuple):
    """A part of the story; ``start`` and ``seconds`` in seconds, the start from the build's own."""

    name: str
    start: float
    seconds: float


@dataclass
class Record:
    """What is known of this build so far. The story fills it in as it goes, so that a build that fails half-way reports
    what it did until then.
    """

    outcome: Outcome = Outcome.WORKER_FAILED
    reason: str = ""
    remedy: str = ""
    details: str = ""
    fence: int = 0
    slot: str = ""
    commit: str = ""
    tasks_done: int | None = None
    tasks_open: int | None = None
    tests: str = ""
    test_command: tuple[str, ...] = ()
    files_changed: tuple[str, ...] = ()
    patch: bytes = field(default=b"", repr=False)
    agent_credits: float | None = None
    agent_seconds: float | None = None
    agent_unit: str = "credits"
    artifacts: str = ""
    seconds: float = 0.0
    phases: list[Phase] = field(default_factory=list)
    checkpoint_branch: str = ""
    checkpoint_commit: str = ""
    coverage_line: str = ""
    steering_source: str = ""
    steering_version: str = ""
    _began: float = field(default_factory=time.monotonic, repr=False)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Note when a part of the story began and how long it took, however it ends."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases.append(Phase(name, round(began - self._began, 3), round(time.monotonic() - began, 3)))

    def stopped(self, stop: Stopped) -> None:
        self.outcome, self.reason, self.remedy, self.details = stop.outcome, stop.reason, stop.remedy, stop.details
