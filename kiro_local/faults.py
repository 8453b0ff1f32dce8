"""The faults of the state machines' states by name, as `--fault STATE:KIND` accepts them and the recovery tests inject
them one by one.

States are named as in the definition, with the prefix ``clean-up/`` for those of the clean-up. A kind is a key of
:data:`KINDS`, the name of an error that a step raises (``GitHubForbidden``), or, for RunBuild, an outcome of the build
(``TestsFailed``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from kiro_local.assembly import ROOT, require_checkout
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
AGENT_STARTS: Final = "── agent"
"""The line of the build's log that marks the start of the agent."""

FUNCTION, BUILD, EXECUTION, SILENT = "function", "build", "execution", "silent"
"""The categories of states: a Task with a function, the Task with the build, a Task that starts another execution, and
any state that does no work.
"""


class UnknownFault(ValueError):
    """There is no such fault. The message lists those that exist."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault. ``applies_to`` are the categories of states it can happen to."""

    means: Means
    moment: Moment
    error: str
    applies_to: frozenset[str]
    description: str


_FUNCTIONS: Final = frozenset({FUNCTION})
_BUILDS: Final = frozenset({BUILD})
_EXECUTIONS: Final = frozenset({EXECUTION})
_TASKS: Final = frozenset({FUNCTION, BUILD, EXECUTION})
_ALL: Final = _TASKS | {SILENT}

KINDS: Final[Mapping[str, Kind]] = {
    "service-error": Kind(
        Means.ERROR, Moment.BEFORE, "Lambda.ServiceException", _FUNCTIONS, "the service fails; nothing is done"
    ),
    "throttled": Kind(
        Means.ERROR,
        Moment.BEFORE,
        "Lambda.TooManyRequestsException",
        _FUNCTIONS,
        "the service throttles the call; nothing is done",
    ),
    "answer-lost": Kind(
        Means.ERROR,
        Moment.AFTER,
        "Lambda.SdkClientException",
        _FUNCTIONS,
        "the work is done, but the caller sees a failure",
    ),
    "build-throttled": Kind(
        Means.ERROR, Moment.BEFORE, "CodeBuild.ThrottlingException", _BUILDS, "CodeBuild throttles the start of a build"
    ),
    "build-limit": Kind(
        Means.ERROR, Moment.BEFORE, "CodeBuild.AccountLimitExceededException", _BUILDS, "too many builds run already"
    ),
    "build-service-error": Kind(
        Means.ERROR, Moment.BEFORE, "CodeBuild.AWSCodeBuildException", _BUILDS, "the service fails; no build starts"
    ),
    "start-lost": Kind(
        Means.ERROR,
        Moment.AFTER,
        "CodeBuild.SdkClientException",
        _BUILDS,
        "a build starts, but the caller sees a failure",
    ),
    "run-throttled": Kind(
        Means.ERROR,
        Moment.BEFORE,
        "StepFunctions.ThrottlingException",
        _EXECUTIONS,
        "Step Functions throttles the start of another run; no run starts",
    ),
    "run-service-error": Kind(
        Means.ERROR,
        Moment.BEFORE,
        "StepFunctions.AWSStepFunctionsException",
        _EXECUTIONS,
        "the service fails; no other run starts",
    ),
    "run-start-lost": Kind(
        Means.ERROR,
        Moment.AFTER,
        "StepFunctions.SdkClientException",
        _EXECUTIONS,
        "another run starts, but the caller sees a failure",
    ),
    "function-timed-out": Kind(
        Means.ERROR, Moment.AFTER, "Sandbox.Timedout", _FUNCTIONS, "the function times out after its work"
    ),
    "state-timed-out": Kind(
        Means.ERROR, Moment.BEFORE, "States.Timeout", _TASKS, "the state times out; nothing is done"
    ),
    "done-late": Kind(
        Means.ERROR,
        Moment.LATE,
        "States.Timeout",
        _FUNCTIONS | _EXECUTIONS,
        "the state times out; its work is done later",
    ),
    "killed": Kind(Means.KILL, Moment.BEFORE, "", _FUNCTIONS, "SIGKILL to the function once it has received the event"),
    "killed-after": Kind(Means.KILL, Moment.AFTER, "", _FUNCTIONS, "SIGKILL to the function after its work"),
    "aborted": Kind(Means.ABORT, Moment.BEFORE, "", _ALL, "the execution is stopped; nothing is done"),
    "aborted-during": Kind(Means.ABORT, Moment.DURING, "", _BUILDS, "the execution is stopped while the agent works"),
    "aborted-after": Kind(Means.ABORT, Moment.AFTER, "", _TASKS, "the execution is stopped after the work"),
    "timed-out": Kind(Means.TIME_OUT, Moment.BEFORE, "", _ALL, "the state machine times out; nothing is done"),
    "timed-out-during": Kind(
        Means.TIME_OUT, Moment.DURING, "", _BUILDS, "the state machine times out while the agent works"
    ),
    "timed-out-after": Kind(Means.TIME_OUT, Moment.AFTER, "", _TASKS, "the state machine times out after the work"),
    "runtime-error": Kind(
        Means.ERROR, Moment.BEFORE, RUNTIME, _ALL, "States.Runtime, which no Catch matches; nothing is done"
    ),
    "runtime-error-after": Kind(Means.ERROR, Moment.AFTER, RUNTIME, _TASKS, "States.Runtime after the work"),
}

ERRORS: Final = tuple(
    sorted(
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type)
        and issubclass(kind, errors.KiroWorkerError)
        # Only the runner raises it; a step cannot.
        and kind is not errors.BuildStopped
        and not kind.__subclasses__()
    )
)
"""The name of every error that a step can raise."""

ENDINGS: Final[Mapping[str, BuildEnding]] = {
    **{
        str(outcome): BuildEnding("FAILED", {"OUTCOME": str(outcome), "OUTCOME_REASON": "an injected fault"})
        for outcome in Outcome
        if outcome is not Outcome.SUCCEEDED
    },
    "build-fault": BuildEnding("FAULT"),
    "build-timed-out": BuildEnding(
        "TIMED_OUT", phase="BUILD", code="BUILD_TIMED_OUT", message="Build has timed out", seconds=3600
    ),
    "build-stopped": BuildEnding("STOPPED", phase="BUILD"),
    "queue-timed-out": BuildEnding(
        "TIMED_OUT", phase="QUEUED", code="BUILD_TIMED_OUT", message="Build has timed out", seconds=1800
    ),
    "image-unavailable": BuildEnding(
        "FAILED",
        phase="PROVISIONING",
        code="CLIENT_ERROR",
        message="BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE: Unable to pull customer's container image",
    ),
    "source-denied": BuildEnding(
        "FAILED", phase="DOWNLOAD_SOURCE", code="CLIENT_ERROR", message="AccessDenied: Access Denied"
    ),
    "out-of-memory": BuildEnding(
        "FAILED",
        phase="BUILD",
        code="COMMAND_EXECUTION_ERROR",
        message='Error while executing command: sh "$CODEBUILD_SRC_DIR/start.sh". Reason: signal: killed',
    ),
    "upload-failed": BuildEnding(
        "FAILED", phase="UPLOAD_ARTIFACTS", code="CLIENT_ERROR", message="no test report files were found"
    ),
}
"""How a build can end. All but ``upload-failed`` run nothing."""


@cache
def states() -> dict[str, str]:
    """The category of every state, by the name that `--fault` takes."""
    require_checkout(ROOT)
    found = {}
    for machine in MACHINES:
        definition = json.loads((ROOT / "statemachine" / f"{machine}.asl.json").read_text("utf-8"))
        prefix = CLEAN_UP if machine == "clean_up" else ""
        found.update({f"{prefix}{name}": _category(state) for name, state in definition["States"].items()})
    return found


def _category(state: Mapping[str, Any]) -> str:
    if state["Type"] != "Task":
        return SILENT
    service = state["Resource"].split(":")[5]
    return {"codebuild": BUILD, "states": EXECUTION, "lambda": FUNCTION}[service]


def kinds_of(state: str) -> list[str]:
    """The kinds of fault that can happen to a state."""
    category = states()[state]
    kinds = [name for name, kind in KINDS.items() if category in kind.applies_to]
    if category == FUNCTION:
        return [*kinds, *ERRORS]
    return [*kinds, *ENDINGS] if category == BUILD else kinds


def parse_fault(text: str) -> StepFault:
    """The fault named by ``STATE:KIND`` or ``STATE:KIND:always``. Raises :class:`UnknownFault`."""
    state, _, rest = text.partition(":")
    kind, _, times = rest.partition(":")
    if state not in states():
        raise UnknownFault(f"{text}: there is no state {state!r}{_nearest(state, list(states()))}")
    if kind not in kinds_of(state):
        raise UnknownFault(f"{text}: {kind!r} cannot happen to {state}{_nearest(kind, kinds_of(state))}")
    if times not in ("", ALWAYS):
        raise UnknownFault(f"{text}: only :{ALWAYS} can follow the kind")
    return fault(state, kind, always=times == ALWAYS)


def fault(state: str, kind: str, *, always: bool = False) -> StepFault:
    """The fault of kind ``kind`` in ``state``. Both must exist."""
    machine = MACHINES["clean_up" if state.startswith(CLEAN_UP) else "work_item"]
    name = state.removeprefix(CLEAN_UP)
    if kind in ENDINGS:
        return StepFault(machine, name, Means.BUILD_ENDS, ending=ENDINGS[kind], always=always)
    if kind in ERRORS:
        return StepFault(machine, name, Means.ERROR, error=kind, always=always)
    known = KINDS[kind]
    return StepFault(machine, name, known.means, known.moment, known.error, line=AGENT_STARTS, always=always)


def _nearest(word: str, known: list[str]) -> str:
    nearest = get_close_matches(word, known, 1)
    guess = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"{guess}; known names: {', '.join(known)}"
