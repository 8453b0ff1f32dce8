"""Ends a stopped or timed-out execution at once, even during a Task, the pause before a retry, or a Wait state."""

from __future__ import annotations

import copy
import functools
import threading
from typing import Any

from moto.stepfunctions.parser.asl.component.common.catch.catch_outcome import CatchOutcome
from moto.stepfunctions.parser.asl.component.common.retry.max_attempts_decl import MaxAttemptsOutcome
from moto.stepfunctions.parser.asl.component.common.retry.retrier_decl import RetrierDecl
from moto.stepfunctions.parser.asl.component.common.retry.retrier_outcome import RetrierOutcome
from moto.stepfunctions.parser.asl.component.common.timeouts.timeout import EvalTimeoutError
from moto.stepfunctions.parser.asl.component.state.exec.execute_state import ExecutionState
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction
from moto.stepfunctions.parser.asl.eval.environment import Environment

from kiro_local.aws.replacements import Replacements

_ORIGINAL_STATE_OUTPUT = ExecutionState._eval_state_output


def install(replacements: Replacements, pause_scale: float = 1.0) -> None:
    """Replaces

    - ``ExecutionState._evaluate_with_timeout``: moto waits for the Task even after StopExecution,
    - ``ExecutionState._eval_state_output``: an ``Output`` that cannot be evaluated is an error of the Task, which its
      Catch can match; moto evaluates it too late for that,
    - ``RetrierDecl._eval_body``, which sleeps uninterruptibly,
    - ``WaitFunction._wait_interval``, which misses a stop that arrives just before the wait.

    ``pause_scale`` multiplies the length of pauses and Wait states, so that tests can shorten them.
    """
    replacements.set(ExecutionState, "_evaluate_with_timeout", _evaluate_with_timeout)
    replacements.set(ExecutionState, "_eval_state_output", _eval_state_output)
    replacements.set(RetrierDecl, "_eval_body", functools.partialmethod(_retry, pause_scale=pause_scale))
    replacements.set(WaitFunction, "_wait_interval", functools.partialmethod(_wait_interval, pause_scale=pause_scale))


def pause(env: Environment, seconds: float) -> None:
    """Sleep for ``seconds``, or until the execution ends."""
    with env.event_manager.interruptible(threading.Event()) as over:
        over.wait(max(0.0, seconds))


class _Attempt:
    """One attempt at a state's work, in its own thread, so that it can be abandoned."""

    def __init__(self, state: ExecutionState, frame: Environment) -> None:
        self.done = threading.Event()
        self.finished = False
        self.error: Exception | None = None
        self.output: Any = None
        self._state, self._frame = state, frame
        threading.Thread(target=self._work, name=f"state-{state.name}", daemon=True).start()

    def _work(self) -> None:
        try:
            self._state._eval_execution(self._frame)
            if self._frame.stack:
                self.output = self._frame.stack[-1]
        except Exception as error:  # noqa: BLE001 - the waiting thread raises it
            self.error = error
        self.finished = True
        self.done.set()


def _evaluate_with_timeout(self: ExecutionState, env: Environment) -> None:
    self.timeout.eval(env=env)
    seconds: int = env.stack.pop()
    frame = env.open_frame()
    frame.states.reset(input_value=env.states.get_input())
    frame.stack = copy.deepcopy(env.stack)
    attempt = _Attempt(self, frame)
    with env.event_manager.interruptible(attempt.done):
        attempt.done.wait(min(seconds, threading.TIMEOUT_MAX))
    frame.set_ended()
    env.close_frame(frame)
    if not env.is_running():
        return  # the execution is over, which the program checks next
    if not attempt.finished:
        raise EvalTimeoutError
    if attempt.error:
        raise attempt.error
    if self._is_language_query_jsonpath():
        _finish_with_paths(self, env, attempt.output)
    else:
        _finish_with_expressions(self, env, attempt.output)


def _finish_with_paths(state: ExecutionState, env: Environment, output: Any) -> None:
    env.stack.append(output)
    if state.assign_decl:
        state.assign_decl.eval(env=env)
    if state.result_selector:
        state.result_selector.eval(env=env)
    if state.result_path:
        state.result_path.eval(env)
    else:
        env.states.reset(input_value=env.stack.pop())


def _finish_with_expressions(state: ExecutionState, env: Environment, output: Any) -> None:
    env.states.set_result(output)
    if state.output:
        state.output.jsonata_template_value.eval(env=env)
    else:
        env.stack.append(output)
    if state.assign_decl:
        computed = env.stack.pop()
        state.assign_decl.eval(env=env)
        env.stack.append(computed)


def _eval_state_output(self: ExecutionState, env: Environment) -> None:
    if self._is_language_query_jsonpath():
        _ORIGINAL_STATE_OUTPUT(self, env)
    elif not isinstance(env.stack[-1], CatchOutcome):  # a Catch has set the next state's input already
        env.states.reset(input_value=env.stack.pop())


def _retry(self: RetrierDecl, env: Environment, pause_scale: float) -> None:
    self.error_equals.eval(env)
    if not env.stack.pop():
        env.stack.append(RetrierOutcome.Skipped)
        return
    self.max_attempts.eval(env=env)
    if env.stack.pop() == MaxAttemptsOutcome.EXHAUSTED:
        env.stack.append(RetrierOutcome.Failed)
        return
    for part in (self.interval_seconds, self.backoff_rate, self.max_delay_seconds, self.jitter_strategy):
        part.eval(env=env)
    pause(env, env.stack.pop() * pause_scale)
    env.stack.append(RetrierOutcome.Executed)


def _wait_interval(self: WaitFunction, env: Environment, wait_seconds: float, pause_scale: float) -> None:
    pause(env, wait_seconds * pause_scale)
