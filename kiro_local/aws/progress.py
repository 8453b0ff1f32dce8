"""How far an execution has come. A redrive continues from here."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from moto.core.utils import iso_8601_datetime_with_milliseconds
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_activitiy import StateTaskActivity
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import StateTaskLambda
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.eval.environment import Environment

from kiro_local.aws.replacements import Replacements
from kiro_local.aws.undocumented import Undocumented

_ABSENT: Final = object()
_ORIGINAL_FRAME: Final = Environment.as_inner_frame_of.__func__


def install(replacements: Replacements) -> None:
    """Replaces ``Environment.as_inner_frame_of``, so that a frame knows the progress of its execution, and
    ``_eval_parameters`` of Tasks, so that their Arguments are remembered. Adds ``Environment.progress``.
    """
    replacements.set(Environment, "as_inner_frame_of", classmethod(_inner_frame))
    replacements.set(Environment, "progress", None)
    for task in (StateTask, StateTaskLambda, StateTaskActivity):
        replacements.set(task, "_eval_parameters", _remembering_arguments(task._eval_parameters))


@dataclass(frozen=True)
class Redriven:
    """The redrive that started this drive. ``context`` is the context object's ``Execution`` before the redrive."""

    count: int
    date: datetime.datetime
    undocumented: Undocumented
    context: Mapping[str, Any]

    def fresh_context(self) -> dict[str, Any]:
        """The context object's ``Execution`` after the redrive."""
        return {
            **self.context,
            "RedriveCount": self.count,
            "RedriveTime": iso_8601_datetime_with_milliseconds(self.date),
        }


@dataclass
class Progress:
    """The state at which an execution is or ended, with what the state needs to run again."""

    redriven: Redriven | None = None
    #: The current or last state, with the document and the variables it was entered with.
    state: CommonStateField | None = None
    document: Any = None
    variables: dict[str, Any] = field(default_factory=dict)
    #: The Arguments of the Task's last attempt.
    arguments: Any = _ABSENT
    #: Whether ``state`` was entered before the redrive and is now continued.
    resumes: bool = False

    def resumed(self, redriven: Redriven) -> Progress:
        """The starting point of the redrive. It shares nothing with this object, because an abandoned Task of the
        earlier drive may still be running.
        """
        undocumented = redriven.undocumented
        return Progress(
            redriven=redriven,
            state=self.state,
            document=copy.deepcopy(self.document),
            variables=copy.deepcopy(self.variables) if undocumented.redrive_keeps_variables else {},
            arguments=_ABSENT if undocumented.redrive_evaluates_arguments else copy.deepcopy(self.arguments),
            resumes=self.state is not None,
        )

    def walk(self, program: Program, env: Environment) -> None:
        """Run the states one after another, from the first or the resumed one. The result is the environment's program
        state.
        """
        try:
            while env.is_running():
                state = program._get_state(env.next_state_name)
                self._enter(state, env)
                _evaluate(state, env)
                env.stack.clear()
                env.heap.clear()
                self._leave(env)
        except FailureEventException as failure:
            env.set_error(failure.get_execution_failed_event_details())
        except Exception as failure:  # noqa: BLE001 - any failure inside a state is the execution's States.Runtime
            # After an abort the interpreter skips evaluations, so a Choice with several rules finds no result of one.
            if not env.is_running():
                return
            env.set_error({"error": "States.Runtime", "cause": f"{type(failure).__name__}({failure})"})

    def prepare(self, program: Program, env: Environment) -> None:
        """Point the environment at the first or the resumed state. The program may already have been stopped by now."""
        env.progress = self
        with env._state_mutex:
            if env.program_state() is None or env.is_running():
                env.next_state_name = self.state.name if self.state else program.start_at.start_at_name
        if self.redriven:
            stale = self.resumes and not self.redriven.undocumented.redrive_refreshes_context
            _set_execution_context(env, dict(self.redriven.context) if stale else self.redriven.fresh_context())
        if self.resumes:
            env.states.reset(self.document)
            env.variable_store._inner_scope.update(self.variables)
            env.event_manager.skip_entry(env.event_history_context)

    def _enter(self, state: CommonStateField, env: Environment) -> None:
        if self.resumes:
            return
        self.state = state
        self.document = env.states.get_input()
        self.variables = dict(env.variable_store._inner_scope)
        self.arguments = _ABSENT

    def _leave(self, env: Environment) -> None:
        self.resumes = False
        if self.redriven:
            _set_execution_context(env, self.redriven.fresh_context())


def _inner_frame(cls: type[Environment], env: Environment, *args: Any, **kwargs: Any) -> Environment:
    frame = _ORIGINAL_FRAME(cls, env, *args, **kwargs)
    frame.progress = env.progress
    return frame


def _remembering_arguments(
    original: Callable[[StateTask, Environment], Any],
) -> Callable[[StateTask, Environment], Any]:
    """``original``, or the Arguments from before the redrive where they are kept (``redrive_evaluates_arguments``)."""

    def evaluate(self: StateTask, env: Environment) -> Any:
        progress: Progress = env.progress
        if progress.resumes and progress.arguments is not _ABSENT:
            return copy.deepcopy(progress.arguments)
        evaluated = original(self, env)
        progress.arguments = copy.deepcopy(evaluated)
        return evaluated

    return evaluate


def _evaluate(state: CommonStateField, env: Environment) -> None:
    try:
        state.eval(env)
    except FailureEventException as failure:
        event = failure.failure_event
        if event.event_type == HistoryEventType.EvaluationFailed and not isinstance(state, ExecutionState):
            env.event_manager.add_event(
                context=env.event_history_context, event_type=event.event_type, event_details=event.event_details
            )
        raise


def _set_execution_context(env: Environment, execution: dict[str, Any]) -> None:
    env.states.context_object.context_object_data["Execution"] = execution
