"""The cells of the fault matrix, derived from the definitions: every state, every fault that can happen to it, every
continuation. ``IMPOSSIBLE`` lists what cannot happen, and why.

Named errors form classes: errors that the state's Retry and Catch treat the same, and MarkFailed if it is next, are one
fault, shown by the first name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from kiro_local.assembly import ROOT
from kiro_local.aws.error_matching import matches
from kiro_local.aws.step_fault import RUNTIME, Means
from kiro_local.faults import ALWAYS, CLEAN_UP, ENDINGS, ERRORS, KINDS, SILENT, kinds_of, states
from kiro_worker import errors
from kiro_worker.outcomes import FaultOwner

REDRIVE, TICK, REPLAY, NOTHING = "redrive", "tick", "replay", "nothing"
CONTINUATIONS: Final = (NOTHING, TICK, REPLAY, REDRIVE)
LOST, LATE, TWICE = "event-lost", "event-late", "event-twice"
"""What can happen to the status event of the execution's end, whose delivery is best effort."""

IMPOSSIBLE: Final[Mapping[str, str]] = {
    "a Choice or a Succeed state: an error, a timeout, a lost answer, throttling, SIGKILL": "it calls nothing",
    "a Succeed state: an abort, a timeout of the machine": "it ends the execution as soon as it is entered",
    "RunBuild: SIGKILL of the build": "it is a failed build; test_killed_builds.py kills a build in each of its phases",
    "RunBuild: one of the worker's errors by name": "it calls no function: a build has outcomes",
    "a start of the next run: SIGKILL, one of the worker's errors by name": "it calls no function",
    "clean-up: redrive": "nobody redrives its execution; the next tick does its work",
    "a run that ended by FailRun: its event lost, late or twice": "it leaves nothing for the clean-up to do",
    "a timeout of the machine, States.Runtime: the event late or twice": "the clean-up handles them like an abort",
    "the first redrive: every fault again": "a redriven state is the same state: its faults are the same cells",
}

# The fault that must happen first, so that the run reaches the state.
_FIRST: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "ReadBuildResult",
            "BuildSucceeded",
            "MarkFailed",
            "ReleaseLockAfterFailure",
            "NextRunAllowed",
            "StartNextRunAfterFailure",
            "FailRun",
            "ResumePoint",
        ),
        "RunBuild:TestsFailed",
    ),
    "WorkInProgressElsewhere": "AcquireLock:LockHeld",
    f"{CLEAN_UP}NothingToDo": "FetchWorkItem:aborted",
}


@dataclass(frozen=True)
class Cell:
    """One fault of one state. ``fault`` is ``STATE:KIND[:always]``; ``names`` are the errors that it represents."""

    state: str
    kind: str
    always: bool = False
    event: str = ""
    names: tuple[str, ...] = ()

    @property
    def fault(self) -> str:
        return f"{self.state}:{self.kind}" + (f":{ALWAYS}" if self.always else "")

    @property
    def label(self) -> str:
        return " ".join(filter(None, (self.kind, ALWAYS if self.always else "", self.event)))

    @property
    def id(self) -> str:
        return f"{self.state}-{self.label.replace(' ', '-')}"

    @property
    def first(self) -> str:
        """The fault that leads to the state; empty when every run enters it."""
        return _FIRST.get(self.state, "RunBuild:aborted-during" if self.state.startswith(CLEAN_UP) else "")

    @property
    def is_retried_away(self) -> bool:
        """Whether a Retry catches the fault, and it happens only once."""
        return not self.always and Cell(self.state, self.kind, always=True, names=self.names) in all_cells()

    @property
    def ends_execution(self) -> bool:
        kind = KINDS.get(self.kind)
        return kind is not None and (kind.means in (Means.ABORT, Means.TIME_OUT) or kind.error == RUNTIME)


@cache
def all_cells() -> tuple[Cell, ...]:
    return tuple(cell for state in states() for cell in cells_of(state))


@cache
def sample() -> frozenset[Cell]:
    """One cell per state, for the lane that runs on every change: where possible a run that ends there without its
    event, because that needs the most guards.
    """
    chosen: dict[str, Cell] = {}
    for cell in all_cells():
        if cell.state not in chosen or (cell.event == LOST and not chosen[cell.state].event):
            chosen[cell.state] = cell
    return frozenset(chosen.values())


def cells_of(state: str) -> Iterator[Cell]:
    definition = _definition(state)
    if definition["Type"] == "Succeed":
        yield Cell(state, "runtime-error")
        return
    for kind in kinds_of(state):
        if kind in ERRORS:
            continue
        cell = Cell(state, kind)
        yield cell
        if _retried(definition, kind):
            yield Cell(state, kind, always=True)
        if cell.ends_execution and not state.startswith(CLEAN_UP):
            yield Cell(state, kind, event=LOST)
            if kind.startswith("aborted"):
                yield Cell(state, kind, event=LATE)
                yield Cell(state, kind, event=TWICE)
    if states()[state] != SILENT and "lambda" in definition["Resource"]:
        yield from _by_name(state, definition)


def _by_name(state: str, definition: Mapping[str, Any]) -> Iterator[Cell]:
    classes: dict[tuple[int | None, str, str | bool | None], list[str]] = {}
    for name in ERRORS:
        retrier, target = route(definition, name)
        classes.setdefault((retrier, target, _matters(state, target, errors.ERRORS[name].owner)), []).append(name)
    for (retrier, _, _), names in classes.items():
        yield Cell(state, names[0], names=tuple(names))
        if retrier is not None:
            yield Cell(state, names[0], always=True, names=tuple(names))


def _matters(state: str, target: str, owner: FaultOwner | None) -> str | bool | None:
    """What the end of the run depends on, beside the error's Retry and Catch."""
    if state == "MarkInProgress":
        return owner  # MarkFailed acts by owner, and only this state reports the failure under the error's name
    # NextRunAllowed acts by owner too.
    return owner in (FaultOwner.CARD, FaultOwner.REPOSITORY) if target == "ReleaseLockAfterFailure" else None


def route(definition: Mapping[str, Any], error: str) -> tuple[int | None, str]:
    """The index of the Retry that matches the error, and the target of its Catch; empty where none matches."""
    retrier = next(
        (index for index, rule in enumerate(definition.get("Retry", ())) if matches(error, rule["ErrorEquals"])), None
    )
    catcher = next((rule["Next"] for rule in definition.get("Catch", ()) if matches(error, rule["ErrorEquals"])), "")
    return retrier, catcher


def _retried(definition: Mapping[str, Any], kind: str) -> bool:
    if kind in ENDINGS:
        return kind == "build-fault"
    return route(definition, KINDS[kind].error)[0] is not None


def _definition(state: str) -> dict[str, Any]:
    machine = "clean_up" if state.startswith(CLEAN_UP) else "work_item"
    text = (ROOT / "statemachine" / f"{machine}.asl.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)["States"][state.removeprefix(CLEAN_UP)]
    return found
