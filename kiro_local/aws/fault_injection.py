"""Makes the faults of :mod:`kiro_local.aws.step_fault` happen.

A fault of a Task happens between the interpreter and the service that it calls: before the work (nothing was done),
after it (everything was done, and the caller sees a failure), while a build runs, or late (the caller has given up, and
the work is done afterwards). A Choice or a Succeed state has no work; its fault happens
when the state is entered.
"""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_lambda import (
    StateTaskServiceLambda,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from kiro_local.aws import status_events
from kiro_local.aws.builds import Builds
from kiro_local.aws.codebuild_sync import StartBuild
from kiro_local.aws.executions import LocalExecution
from kiro_local.aws.lambda_process import Death
from kiro_local.aws.lambda_runtime import LambdaRuntime
from kiro_local.aws.replacements import Replacements
from kiro_local.aws.session import ACCOUNT, REGION
from kiro_local.aws.step_fault import RUNTIME, Means, Moment, StepFault

_CAUSE: Final = "an injected fault"


class StepFaults:
    """The faults that have not happened yet. Postponed work is done after ``late_seconds``, or by the caller of
    :meth:`take_late` if that is ``None``.
    """

    def __init__(self, late_seconds: float | None = None) -> None:
        self.late_seconds = late_seconds
        self.happened: list[StepFault] = []
        self.deliver: Callable[[Mapping[str, Any]], None] = status_events.deliver
        self._lock = threading.Lock()
        self._pending: list[StepFault] = []
        self._late: list[Callable[[], None]] = []
        self._at_line: dict[str, Callable[[], None]] = {}
        self.at_end: dict[str, StepFault] = {}

    def add(self, fault: StepFault) -> None:
        with self._lock:
            self._pending.append(fault)

    def clear(self) -> None:
        """Forget all faults and postponed work, and restore the normal delivery of status events."""
        with self._lock:
            self._pending.clear()
            self._late.clear()
            self._at_line.clear()
            self.at_end.clear()
            self.happened.clear()
        self.deliver = status_events.deliver

    def take(self, machine: str, state: str) -> StepFault | None:
        """The next fault of this state, which now counts as happened."""
        with self._lock:
            for fault in self._pending:
                if (fault.machine, fault.state) == (machine, state):
                    if not fault.always:
                        self._pending.remove(fault)
                    self.happened.append(fault)
                    return fault
        return None

    def take_late(self) -> list[Callable[[], None]]:
        """The work that was postponed until its caller had given up."""
        with self._lock:
            late, self._late = self._late, []
        return late

    def do_late(self) -> None:
        """Do the postponed work now."""
        for work in self.take_late():
            work()

    def postpone(self, work: Callable[[], None]) -> None:
        """Do ``work`` later: after ``late_seconds``, or in :meth:`do_late`."""
        with self._lock:
            self._late.append(work)
        if self.late_seconds is not None:
            timer = threading.Timer(self.late_seconds, self.do_late)
            timer.daemon = True
            timer.start()

    def at_line(self, line: str, act: Callable[[], None]) -> None:
        """Call ``act`` once, when a build writes a line that contains ``line``."""
        with self._lock:
            self._at_line[line] = act

    def on_build_line(self, line: str) -> None:
        with self._lock:
            found = next((text for text in self._at_line if text in line), None)
            act = self._at_line.pop(found) if found else None
        if act:
            act()

    def on_history_event(self, arn: str, event: Mapping[str, Any]) -> None:
        """Inject the fault of a state that does no work when the execution enters that state."""
        kind = HistoryEventType(event["type"]).value
        if not kind.endswith("StateEntered") or kind.startswith("Task"):
            return
        execution = execution_of(arn)
        fault = self.take(execution.state_machine.name, event["stateEnteredEventDetails"]["name"])
        if fault is None:
            return
        if fault.means is Means.ERROR:
            raise _InjectedRuntimeError(_CAUSE)
        _end_execution(execution, fault.means)


class _InjectedRuntimeError(Exception):
    """Becomes the execution's States.Runtime, as does any exception in a state that does no work."""


class _ExecutionOver(Exception):
    """The fault ended the execution, so its work must not start."""


def install(replacements: Replacements, faults: StepFaults, lambdas: LambdaRuntime, builds: Builds) -> None:
    """Wraps ``_eval_service_task`` of ``StateTaskServiceLambda``, of ``StateTaskServiceSfn`` and of
    :class:`StartBuild`, and the method in which the latter waits for the build to end.
    """

    def call_function(self: Any, env: Environment, normalised_parameters: dict[str, Any], **rest: Any) -> None:
        fault = faults.take(*_machine_and_state(env))
        work = partial(invoke, self, env=env, normalised_parameters=normalised_parameters, **rest)
        if fault and fault.means is Means.KILL:
            name = str(normalised_parameters["FunctionName"]).rsplit(":", 1)[-1]
            lambdas.kill_next(name, Death.ANSWERED if fault.moment is Moment.AFTER else Death.TAKEN)
            fault = None
        _run_with_fault(env, faults, fault, work)

    def start_execution(self: Any, env: Environment, normalised_parameters: dict[str, Any], **rest: Any) -> None:
        fault = faults.take(*_machine_and_state(env))
        work = partial(start_another, self, env=env, normalised_parameters=normalised_parameters, **rest)
        _run_with_fault(env, faults, fault, work)

    def start_build(self: Any, env: Environment, normalised_parameters: dict[str, Any], **rest: Any) -> None:
        fault = faults.take(*_machine_and_state(env))
        work = partial(start, self, env=env, normalised_parameters=normalised_parameters, **rest)
        if fault and fault.means is Means.BUILD_ENDS:
            builds.end_next_as(fault.ending)
            fault = None
        elif fault and fault.moment is Moment.DURING:
            execution, means = _execution(env), fault.means
            faults.at_line(fault.line, lambda: _end_execution(execution, means))
            fault = None
        elif fault and fault.moment is Moment.AFTER and _ends_execution(fault):
            faults.at_end[_arn(env)] = fault
            fault = None
        _run_with_fault(env, faults, fault, work)

    def wait(self: Any, env: Environment, normalised_parameters: dict[str, Any], **rest: Any) -> None:
        fault = faults.at_end.pop(_arn(env), None)
        work = partial(wait_for_build, self, env=env, normalised_parameters=normalised_parameters, **rest)
        _run_with_fault(env, faults, fault, work)

    invoke: Callable[..., None] = StateTaskServiceLambda._eval_service_task
    start_another: Callable[..., None] = StateTaskServiceSfn._eval_service_task
    start: Callable[..., None] = StartBuild._eval_service_task
    wait_for_build: Callable[..., None] = StartBuild._eval_integration_pattern
    replacements.set(StateTaskServiceLambda, "_eval_service_task", call_function)
    replacements.set(StateTaskServiceSfn, "_eval_service_task", start_execution)
    replacements.set(StartBuild, "_eval_service_task", start_build)
    replacements.set(StartBuild, "_eval_integration_pattern", wait)


def _run_with_fault(env: Environment, faults: StepFaults, fault: StepFault | None, work: Callable[[], None]) -> None:
    """Do the work, with the fault before it, after it or instead of it."""
    if fault is None:
        work()
        return
    if fault.moment is Moment.AFTER:
        work()
    elif fault.moment is Moment.LATE:
        faults.postpone(lambda: _do_unattended(work))
    if fault.means is Means.ERROR:
        raise FailureEventException(_failure(env, fault.error))
    _end_execution(_execution(env), fault.means)
    raise _ExecutionOver


def _do_unattended(work: Callable[[], None]) -> None:
    # The caller has given up, so nothing can receive a failure of the postponed work.
    with suppress(Exception):
        work()


def _failure(env: Environment, error: str) -> FailureEvent:
    timed_out = error == StatesErrorNameType.StatesTimeout.to_name()
    is_predefined = error.startswith("States.")
    details = {"error": error, "cause": json.dumps({"errorType": error, "errorMessage": _CAUSE})}
    return FailureEvent(
        env=env,
        error_name=StatesErrorName(StatesErrorNameType.from_name(error)) if is_predefined else CustomErrorName(error),
        event_type=HistoryEventType.TaskTimedOut if timed_out else HistoryEventType.TaskFailed,
        event_details={"taskTimedOutEventDetails" if timed_out else "taskFailedEventDetails": details},
    )


def _end_execution(execution: LocalExecution, means: Means) -> None:
    """Stop or time out the execution without waiting for its end, because one of its own threads calls this."""
    drive = execution._drive
    if drive is None:
        return
    if means is Means.ABORT:
        drive.abort(datetime.datetime.now(datetime.UTC), None, _CAUSE)
        return
    with drive.env._state_mutex:
        if drive.env.is_running():
            drive.env.set_timed_out()
    drive.history.interrupt()


def _ends_execution(fault: StepFault) -> bool:
    return fault.means in (Means.ABORT, Means.TIME_OUT) or fault.error == RUNTIME


def _machine_and_state(env: Environment) -> tuple[str, str]:
    context = env.states.context_object.context_object_data
    return context["StateMachine"]["Name"], context["State"]["Name"]


def _execution(env: Environment) -> LocalExecution:
    return execution_of(_arn(env))


def _arn(env: Environment) -> str:
    return str(env.states.context_object.context_object_data["Execution"]["Id"])


def execution_of(arn: str) -> LocalExecution:
    """The execution with this ARN."""
    execution: LocalExecution = stepfunctions_parser_backends[ACCOUNT][REGION].describe_execution(arn)
    return execution
