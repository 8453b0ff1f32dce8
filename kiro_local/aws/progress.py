"""How far a program has come: the state machine's own, a branch of a Parallel state, an iteration of a Map. It is what
a redrive goes on from.
"""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from moto.core.utils import iso_8601_datetime_with_milliseconds
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded

from kiro_local.aws.undocumented import Undocumented

_ABSENT: Final = object()


@dataclass(frozen=True)
class Redriven:
    """What all programs of a redriven execution know of the redrive. ``context``: the context object's ``Execution`` of
    the run before.
    """

    count: int
    date: datetime.datetime
    undocumented: Undocumented
    context: Mapping[str, Any]

    def fresh_context(self) -> dict[str, Any]:
        return {
            **self.context,
            "RedriveCount": self.count,
            "RedriveTime": iso_8601_datetime_with_milliseconds(self.date),
        }


@dataclass
class Progress:
    redriven: Redriven | None = None
    #: The state at which the program is or ended, with the document and the variables with which it was entered.
    state: CommonStateField | None = None
    document: Any = None
    variables: dict[str, Any] = field(default_factory=dict)
    #: The Arguments of the Task, as its last attempt had them.
    arguments: Any = _ABSENT
    #: Of a Parallel or Map state: its branches or iterations by index, as its last attempt left them.
    branches: dict[int, Progress] = field(default_factory=dict)
    done: bool = False
    output: Any = None
    #: The state has been entered in an earlier run of the execution and is gone on with.
    resumes: bool = False

    def resumed(self, redriven: Redriven, *, whole: bool) -> Progress:
        """Where the next run goes on. It shares nothing with this one, in which a Task that was left behind may still
        be at work. ``whole``: branches that had succeeded are run again too.
        """
        kept = redriven.undocumented
        return Progress(
            redriven=redriven,
            state=self.state,
            document=copy.deepcopy(self.document),
            variables=copy.deepcopy(self.variables) if kept.redrive_keeps_variables else {},
            arguments=_ABSENT if kept.redrive_evaluates_arguments else copy.deepcopy(self.arguments),
            branches={} if whole else {i: branch.resumed(redriven, whole=False) for i, branch in self.branches.items()},
            done=self.done,
            output=copy.deepcopy(self.output),
            resumes=self.state is not None,
        )

    def walk(self, program: Program, env: Environment) -> None:
        """Runs the program's states, one after the other, from the first or from the one it resumes. How it ended is
        the environment's program state.
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
        except Exception as failure:  # noqa: BLE001 - whatever breaks in a state is that execution's States.Runtime
            env.set_error({"error": "States.Runtime", "cause": f"{type(failure).__name__}({failure})"})
        if isinstance(env.program_state(), ProgramEnded):
            self.output = env.states.get_input()
            self.done = True

    def prepare(self, program: Program, env: Environment) -> None:
        """Sets the environment to where the program begins or goes on. A program that is about to run can already be
        stopped.
        """
        env.progress = self
        with env._state_mutex:
            if env.program_state() is None or env.is_running():
                env.next_state_name = self.state.name if self.state else program.start_at.start_at_name
        if self.redriven:
            stale = self.resumes and not self.redriven.undocumented.redrive_refreshes_context
            _show(env, dict(self.redriven.context) if stale else self.redriven.fresh_context())
        if self.resumes:
            env.states.reset(self.document)
            env.variable_store._inner_scope.update(self.variables)
            env.event_manager.skip_entry(env.event_history_context)

    def branch(self, index: int) -> Progress:
        return self.branches.setdefault(index, Progress(redriven=self.redriven))

    def begin_branches(self) -> None:
        """At each attempt of a Parallel or Map state. Only the first of a redrive goes on from what there is: a retry
        runs all of them again.
        """
        if self.resumes:
            self.resumes = False
        else:
            self.branches = {}

    def unfinished(self) -> Iterator[CommonStateField]:
        """The states at which it is or ended, from the outermost to the innermost."""
        if self.state and not self.done:
            yield self.state
            for branch in self.branches.values():
                yield from branch.unfinished()

    def _enter(self, state: CommonStateField, env: Environment) -> None:
        if self.resumes:
            return
        self.state = state
        self.document = env.states.get_input()
        self.variables = dict(env.variable_store._inner_scope)
        self.arguments = _ABSENT
        self.branches = {}

    def _leave(self, env: Environment) -> None:
        self.resumes = False
        if self.redriven:
            _show(env, self.redriven.fresh_context())


def arguments_of(progress: Progress, evaluate: Any) -> Any:
    """A Task's Arguments: evaluated, or of the attempt before the redrive if that is how AWS does it."""
    if progress.resumes and progress.arguments is not _ABSENT:
        return copy.deepcopy(progress.arguments)
    evaluated = evaluate()
    progress.arguments = copy.deepcopy(evaluated)
    return evaluated


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


def _show(env: Environment, execution: dict[str, Any]) -> None:
    env.states.context_object.context_object_data["Execution"] = execution
