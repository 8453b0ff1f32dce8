"""The faults of this product's states, by name: what `--fault STATE:KIND` takes and what the tests of recovery go
through one by one.

A state is named as in the definition, one of the clean-up as ``clean-up/STATE``. A kind is one of the table below, the
name of an error that the step raises (``GitHubForbidden``), or, for RunBuild, an outcome of the build
(``TestsFailed``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from kiro_local.assembly import ROOT
from kiro_local.aws.build_run import BuildEnding
from kiro_local.aws.step_fault import RUNTIME, Means, Moment, StepFault
from kiro_worker import errors
from kiro_worker.names import Names
from kiro_worker.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMES: Final = Names("test")
MACHINES: Final = {"work_item": _NAMES.state_machine, "clean_up": _NAMES.clean_up_state_machine}
CLEAN_UP: Final = "clean-up/"
ALWAYS: Final = "always"
WORKS: Final = "── agent"
"""The line of the build's log at which the agent begins."""

FUNCTION, BUILD, SILENT = "function", "build", "silent"


class UnknownFault(ValueError):
    """A fault that does not exist; the message lists those that do."""


@dataclass(frozen=True)
class Kind:
    """``of`` are the sorts of states to which it can happen."""

    means: Means
    moment: Moment
    error: str
    of: frozenset[str]
    tells: str


def _kind(means: Means, moment: Moment, error: str, of: str, tells: str) -> Kind:
    return Kind(means, moment, error, frozenset(of.split()), tells)


KINDS: Final[Mapping[str, Kind]] = {
    "service-error": _kind(
        Means.ERROR, Moment.BEFORE, "Lambda.ServiceException", FUNCTION, "the service fails; nothing was done"
    ),
    "throttled": _kind(
        Means.ERROR, Moment.BEFORE, "Lambda.TooManyRequestsException", FUNCTION, "the service refuses; nothing was done"
    ),
    "answer-lost": _kind(
        Means.ERROR, Moment.AFTER, "Lambda.SdkClientException", FUNCTION, "it was done, and the caller sees a failure"
    ),
    "build-throttled": _kind(
        Means.ERROR, Moment.BEFORE, "CodeBuild.ThrottlingException", BUILD, "CodeBuild refuses to start a build"
    ),
    "build-limit": _kind(
        Means.ERROR, Moment.BEFORE, "CodeBuild.AccountLimitExceededException", BUILD, "too many builds run already"
    ),
    "build-service-error": _kind(
        Means.ERROR, Moment.BEFORE, "CodeBuild.AWSCodeBuildException", BUILD, "the service fails; no build was started"
    ),
    "start-lost": _kind(
        Means.ERROR, Moment.AFTER, "CodeBuild.SdkClientException", BUILD, "a build runs, and the caller sees a failure"
    ),
    "function-timed-out": _kind(
        Means.ERROR, Moment.AFTER, "Sandbox.Timedout", FUNCTION, "the function is ended when its time is up, work done"
    ),
    "state-timed-out": _kind(
        Means.ERROR, Moment.BEFORE, "States.Timeout", f"{FUNCTION} {BUILD}", "the state's own time is up, nothing done"
    ),
    "done-late": _kind(
        Means.ERROR, Moment.LATE, "States.Timeout", FUNCTION, "the state's own time is up; the function works later"
    ),
    "killed": _kind(Means.KILL, Moment.BEFORE, "", FUNCTION, "SIGKILL to the function with the event in its hands"),
    "killed-after": _kind(Means.KILL, Moment.AFTER, "", FUNCTION, "SIGKILL to the function when its work is done"),
    "aborted": _kind(
        Means.ABORT, Moment.BEFORE, "", f"{FUNCTION} {BUILD} {SILENT}", "the execution is stopped, nothing done"
    ),
    "aborted-during": _kind(Means.ABORT, Moment.DURING, "", BUILD, "the execution is stopped while the agent works"),
    "aborted-after": _kind(Means.ABORT, Moment.AFTER, "", f"{FUNCTION} {BUILD}", "the execution is stopped, work done"),
    "timed-out": _kind(
        Means.TIME_OUT, Moment.BEFORE, "", f"{FUNCTION} {BUILD} {SILENT}", "the machine's time is up, nothing done"
    ),
    "timed-out-during": _kind(Means.TIME_OUT, Moment.DURING, "", BUILD, "the machine's time is up, the agent works"),
    "timed-out-after": _kind(
        Means.TIME_OUT, Moment.AFTER, "", f"{FUNCTION} {BUILD}", "the machine's time is up, work done"
    ),
    "runtime-error": _kind(
        Means.ERROR, Moment.BEFORE, RUNTIME, f"{FUNCTION} {BUILD} {SILENT}", "States.Runtime, which reaches no Catch"
    ),
    "runtime-error-after": _kind(
        Means.ERROR, Moment.AFTER, RUNTIME, f"{FUNCTION} {BUILD}", "States.Runtime, work done"
    ),
}

ERRORS: Final = tuple(
    sorted(
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type)
        and issubclass(kind, errors.KiroWorkerError)
        # A build can stop; a step cannot.
        and kind is not errors.BuildStopped
        and not kind.__subclasses__()
    )
)
"""Every error that a step can raise, by name."""

ENDINGS: Final[Mapping[str, BuildEnding]] = {
    **{
        str(outcome): BuildEnding("FAILED", {"OUTCOME": str(outcome), "OUTCOME_REASON": "a fault that was asked for"})
        for outcome in Outcome
        if outcome is not Outcome.SUCCEEDED
    },
    "build-fault": BuildEnding("FAULT"),
    "build-timed-out": BuildEnding("TIMED_OUT"),
    "build-stopped": BuildEnding("STOPPED"),
}


@cache
def states() -> dict[str, str]:
    """Every state, by the name that `--fault` takes, and its sort."""
    found = {}
    for machine in MACHINES:
        definition = json.loads((ROOT / "statemachine" / f"{machine}.asl.json").read_text("utf-8"))
        prefix = CLEAN_UP if machine == "clean_up" else ""
        found.update({f"{prefix}{name}": _sort(state) for name, state in definition["States"].items()})
    return found


def _sort(state: Mapping[str, Any]) -> str:
    if state["Type"] != "Task":
        return SILENT
    return BUILD if "codebuild" in state["Resource"] else FUNCTION


def kinds_of(state: str) -> list[str]:
    """What can happen to a state."""
    sort = states()[state]
    kinds = [name for name, kind in KINDS.items() if sort in kind.of]
    if sort == FUNCTION:
        return [*kinds, *ERRORS]
    return [*kinds, *ENDINGS] if sort == BUILD else kinds


def parse_fault(text: str) -> StepFault:
    """Of ``STATE:KIND`` or ``STATE:KIND:always``; raises :class:`UnknownFault`."""
    state, _, rest = text.partition(":")
    kind, _, times = rest.partition(":")
    if state not in states():
        raise UnknownFault(f"{text}: there is no state {state!r}{_nearest(state, list(states()))}")
    if kind not in kinds_of(state):
        raise UnknownFault(f"{text}: {kind!r} cannot happen to {state}{_nearest(kind, kinds_of(state))}")
    if times not in ("", ALWAYS):
        raise UnknownFault(f"{text}: after the kind comes nothing or :{ALWAYS}")
    return fault(state, kind, always=times == ALWAYS)


def fault(state: str, kind: str, *, always: bool = False) -> StepFault:
    machine = MACHINES["clean_up" if state.startswith(CLEAN_UP) else "work_item"]
    name = state.removeprefix(CLEAN_UP)
    if kind in ENDINGS:
        return StepFault(machine, name, Means.BUILD_ENDS, ending=ENDINGS[kind], always=always)
    if kind in ERRORS:
        return StepFault(machine, name, Means.ERROR, error=kind, always=always)
    known = KINDS[kind]
    return StepFault(machine, name, known.means, known.moment, known.error, line=WORKS, always=always)


def _nearest(word: str, known: list[str]) -> str:
    nearest = get_close_matches(word, known, 1)
    guess = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"{guess}; there are: {', '.join(known)}"
