"""A drive: one pass through the program of an execution, from its start or from the state at which it last ended.

Starting an execution begins its first drive. Every redrive begins another.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.core.utils import iso_8601_datetime_with_milliseconds
from moto.stepfunctions.parser.api import ExecutionStatus, HistoryEventType
from moto.stepfunctions.parser.asl.component.program.program import Program
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext
from moto.stepfunctions.parser.asl.eval.program_state import (
    ProgramEnded,
    ProgramError,
    ProgramStopped,
    ProgramTimedOut,
)
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str
from moto.stepfunctions.parser.backend.execution import Execution

from kiro_local.aws.history import ExecutionHistory
from kiro_local.aws.progress import Progress

TIMED_OUT = "States.Timeout"


@dataclass(frozen=True)
class Ending:
    """How a drive ended, in the terms of DescribeExecution."""

    status: ExecutionStatus
    output: Any = None
    error: str | None = None
    cause: str | None = None


class Drive:
    """Runs the program of ``execution`` in the background, and records its history."""

    def __init__(self, execution: Execution, history: ExecutionHistory, progress: Progress) -> None:
        self.program: Program = AmazonStateLanguageParser.parse(execution.state_machine.definition)[0]
        self.history = history
        self.progress = progress
        self.concluded = threading.Event()
        self._execution = execution
        self.env = self._environment()
        progress.prepare(self.program, self.env)

    def start(self, conclude: Callable[[Drive], None]) -> None:
        """Run in the background and call ``conclude`` at the end."""
        threading.Thread(
            target=self._supervise, args=(conclude,), name=f"execution-{self._execution.name}", daemon=True
        ).start()

    def abort(self, when: datetime.datetime, error: str | None, cause: str | None) -> bool:
        """Stop the drive and return whether it was still running."""
        with self.env._state_mutex:
            running = bool(self.env.is_running())
            self.env.set_stop(stop_date=when, cause=cause, error=error)
        self.history.interrupt()
        return running

    def ending(self) -> Ending:
        """How the drive ended."""
        state = self.env.program_state()
        if isinstance(state, ProgramEnded):
            return Ending(ExecutionStatus.SUCCEEDED, output=self.env.states.get_input())
        if isinstance(state, ProgramStopped):
            return Ending(ExecutionStatus.ABORTED, error=state.error or None, cause=state.cause or None)
        if isinstance(state, ProgramTimedOut):
            return Ending(ExecutionStatus.TIMED_OUT, error=TIMED_OUT)
        details = (state.error if isinstance(state, ProgramError) else None) or {}
        return Ending(ExecutionStatus.FAILED, error=details.get("error"), cause=details.get("cause"))

    def _supervise(self, conclude: Callable[[Drive], None]) -> None:
        limit = self.program.timeout_seconds
        worker = threading.Thread(
            target=self.progress.walk,
            args=(self.program, self.env),
            name=f"program-{self._execution.name}",
            daemon=True,
        )
        self._record_start()
        worker.start()
        worker.join(min(limit.timeout_seconds, threading.TIMEOUT_MAX) if limit else None)
        if worker.is_alive():
            with self.env._state_mutex:
                if self.env.is_running():
                    self.env.set_timed_out()
            self.history.interrupt()
            worker.join()
        self._record_end()
        self.history.interrupt()
        self.history.close()
        conclude(self)
        self.concluded.set()

    # ------------------------------------------------------------------------------------- environment

    def context(self) -> dict[str, Any]:
        """A copy of the context object's ``Execution``."""
        return dict(self.env.states.context_object.context_object_data["Execution"])

    def _environment(self) -> Environment:
        execution = self._execution
        machine = execution.get_start_state_machine_details()
        data: dict[str, Any] = {
            "Id": execution.exec_arn,
            "Input": execution.input_data,
            "Name": execution.name,
            "RoleArn": execution.role_arn,
            "StartTime": iso_8601_datetime_with_milliseconds(execution.start_date),
            "RedriveCount": 0,
        }
        environment = Environment(
            aws_execution_details=execution._get_start_aws_execution_details(),
            execution_type=machine.typ,
            context={"Execution": data, "StateMachine": {"Id": machine.arn, "Name": machine.name}},
            event_history_context=EventHistoryContext(previous_event_id=self.history.last_event_id()),
            cloud_watch_logging_session=None,
            activity_store=execution._activity_store,
        )
        environment.event_manager = self.history
        return environment

    # ----------------------------------------------------------------------------------------- history

    def _record(self, event_type: HistoryEventType, details: Any, *, is_source: bool = True) -> None:
        self.history.add_event(
            context=self.env.event_history_context,
            event_type=event_type,
            event_details=details,
            update_source_event_id=is_source,
        )

    def _record_start(self) -> None:
        redriven = self.progress.redriven
        if redriven:
            details: dict[str, Any] = {"executionRedrivenEventDetails": {"redriveCount": redriven.count}}
            self._record(HistoryEventType.ExecutionRedriven, details)
            return
        details = {
            "executionStartedEventDetails": {
                "input": to_json_str(self._execution.input_data),
                "inputDetails": {"truncated": False},
                "roleArn": self._execution.role_arn,
            }
        }
        self._record(HistoryEventType.ExecutionStarted, details, is_source=False)

    def _record_end(self) -> None:
        ending = self.ending()
        if ending.status == ExecutionStatus.SUCCEEDED:
            output = to_json_str(ending.output, separators=(",", ":"))
            details: dict[str, Any] = {"output": output, "outputDetails": {"truncated": False}}
            self._record(HistoryEventType.ExecutionSucceeded, {"executionSucceededEventDetails": details})
            return
        details = {k: v for k, v in (("error", ending.error), ("cause", ending.cause)) if v is not None}
        if ending.status == ExecutionStatus.ABORTED:
            self._record(HistoryEventType.ExecutionAborted, {"executionAbortedEventDetails": details})
        elif ending.status == ExecutionStatus.TIMED_OUT:
            self._record(HistoryEventType.ExecutionTimedOut, {"executionTimedOutEventDetails": details})
        else:
            self._record(HistoryEventType.ExecutionFailed, {"executionFailedEventDetails": details})
