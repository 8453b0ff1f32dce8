"""The invariant on the runs that start the next run: exactly one after work that is pushed or a failure that only the
card or its repository has to answer for, and none after anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from kiro_local.environment import NAMES
from kiro_local.faults import EXECUTION, states
from kiro_worker.executions.history import Run
from kiro_worker.models import Failure
from kiro_worker.outcomes import FaultOwner
from kiro_worker.ownership import owner_of
from tests.recovery.observer import Observer
from tests.support.world import World, names

STARTS = tuple(state for state, category in states().items() if category == EXECUTION)
PARALLEL = "StartParallelRun"
_BLAMES_ONE_REPOSITORY = (FaultOwner.CARD, FaultOwner.REPOSITORY)
# The states in which a failure means that the card has left the queue: the next run cannot take it again.
_UNDER_WAY = ("RunBuild", "MarkInReview", "ReleaseLock")


class NextRuns:
    """Checks each run once for each time that it has ended. ``tampered`` is the state of a fault; a run that this fault
    happened to in a state that starts the next one may have started none.
    """

    def __init__(self, world: World, observer: Observer, tampered: str = "") -> None:
        self._world, self._observer, self._tampered = world, observer, tampered
        self._checked: dict[str, Run] = {}
        self._started: dict[str, frozenset[str]] = {}

    def problems(self) -> Iterator[str]:
        """What is wrong with the runs that have ended since the last call. All must have ended."""
        runs = [self._world.read(arn) for arn in self._observer.executions if f":{NAMES.state_machine}:" in arn]
        existing = {_name(run.arn) for run in runs}
        started = {run.arn: names_of_next_runs(run) & existing for run in runs}
        unknown = {name for name in existing if name.startswith("chain-")}.difference(*started.values())
        if unknown:
            yield f"no run gave these their name: {unknown}"
        for run in runs:
            before = self._checked.get(run.arn)
            if before is None or before.redrives < run.redrives:
                yield from self._check(run, started[run.arn], before)
            self._checked[run.arn], self._started[run.arn] = run, started[run.arn]

    def _check(self, run: Run, started: frozenset[str], before: Run | None) -> Iterator[str]:
        entered = names(run)[len(before.states) if before else 0 :]
        new = started - self._started.get(run.arn, frozenset())
        ended = f"{_name(run.arn)} ended as {run.status} {run.error} after {names(run)[-4:]}"
        for state in STARTS:
            named = names_of_next_runs(run, state)
            if len(new & named) > 1:
                yield f"{ended}, and started {len(new & named)} runs in {state}"
            if self._tampered == state and state in names(run):
                continue
            if state == starts_next(run) and not started & named:
                # A redrive that only raises the failure once more starts no other run.
                yield f"{ended}, and started no other run"
            if state not in (starts_next(run), PARALLEL) and new & named and not _went_on(entered):
                yield f"{ended}, and started another run"
        if started & names_of_next_runs(run, PARALLEL) and "lockScope" not in self._world.configuration:
            yield f"{ended}, and started a run while it held the only lock"


def _went_on(entered: list[str]) -> bool:
    """Whether a redrive first finished the report of the old failure, and then went on: it may start a run for both."""
    return "FailRun" in entered[:-1]


def starts_next(run: Run) -> str:
    """The state in which the run has to start another one before it ends; empty if it must not."""
    last = run.states[-1]
    if last.name == "Done":
        return "StartNextRun" if "report" in last.document else ""
    if last.name != "FailRun" or names(run)[-2] == "ReleaseLockAfterFailure":
        return ""  # ended from outside, without a card, or still in possession of its lock
    released = next(state for state in reversed(run.states) if state.name == "ReleaseLockAfterFailure")
    failure = Failure.from_dict(released.document["failure"])
    blamed = failure.state in _UNDER_WAY and owner_of(failure) in _BLAMES_ONE_REPOSITORY
    return "StartNextRunAfterFailure" if blamed else ""


def names_of_next_runs(run: Run, *starts: str) -> frozenset[str]:
    """The names that the run may have given to others, for every redrive that it has had."""
    return frozenset(
        name_of_next_run(run.arn, redrives, state) for state in starts or STARTS for redrives in range(run.redrives + 1)
    )


def name_of_next_run(arn: str, redrives: int, state: str) -> str:
    return "chain-" + hashlib.sha256(f"{arn}/{redrives}/{state}".encode()).hexdigest()


def _name(arn: str) -> str:
    return arn.rsplit(":", 1)[-1]
