"""RedriveExecution, which moto lacks: the same execution goes on from the state at which it ended, with the
document that state had, as the Developer Guide's "Redrive behavior of individual states" has it:

- Task: scheduled and started again; Choice: evaluated again; Fail: fails again. Retries and timeouts, the state's and
  the state machine's, begin anew.
- Wait: waits again, and is over at once if its timestamp has passed.
- Pass: one that was exited is not executed again; one whose own expression failed is.
- Parallel, inline Map: only the branches and iterations that failed or were aborted (branches.py).
- a nested ``startExecution.sync`` starts a new child, for it is a Task.

Distributed Maps are refused by name: moto runs no child executions for them, so REDRIVABLE_BY_MAP_RUN never occurs.
"""

from __future__ import annotations

import datetime
import re

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.state_map import StateMap
from moto.stepfunctions.responses import StepFunctionResponse

from kiro_local.aws.executions import LocalExecution
from kiro_local.aws.replacements import Replacements

REDRIVABLE = "REDRIVABLE"
NOT_REDRIVABLE = "NOT_REDRIVABLE"
PERIOD = datetime.timedelta(days=14)
LONGEST = datetime.timedelta(days=365)
MOST_EVENTS = 24_999
_TOKEN = re.compile(r"[!-~]{1,64}")
_TOKENS_KEPT = 10
_TOKEN_LIFE = datetime.timedelta(minutes=15)


class ExecutionNotRedrivable(AWSError):  # type: ignore[misc]  # moto's errors are not typed
    TYPE = "ExecutionNotRedrivable"


class ValidationException(AWSError):  # type: ignore[misc]  # moto's errors are not typed
    TYPE = "ValidationException"


def install(replacements: Replacements) -> None:
    """Adds ``redrive_execution`` to ``StepFunctionResponse``: moto has no such action."""
    replacements.set(StepFunctionResponse, "redrive_execution", _redrive_execution)


def obstacle(execution: LocalExecution, now: datetime.datetime) -> str | None:
    """Why it cannot be redriven, in AWS's words where AWS has words."""
    if execution.exec_status in (ExecutionStatus.RUNNING, ExecutionStatus.SUCCEEDED):
        return f"Execution is {execution.status} and cannot be redriven"
    if execution.history_length >= MOST_EVENTS:
        return "Execution history event limit exceeded"
    if now - execution.start_date > LONGEST:
        return "Execution has exceeded the max execution time"
    if execution.stop_date and now - execution.stop_date > PERIOD:
        return "Execution redrivable period exceeded"
    for state in execution.progress.unfinished():
        if isinstance(state, StateMap) and isinstance(state.iteration_component, DistributedIterationComponent):
            return f"The embedded AWS cannot redrive an execution that ended within a Distributed Map ({state.name})"
    return None


def redrive(execution: LocalExecution, client_token: str | None, now: datetime.datetime) -> datetime.datetime:
    """When it was redriven. The same token within 15 minutes gives the same answer and redrives nothing."""
    if client_token is not None and not _TOKEN.fullmatch(client_token):
        raise ValidationException(
            f"Value '{client_token}' at 'clientToken' failed to satisfy constraint: [!-~]{{1,64}}"
        )
    with execution.lock:
        earlier = execution.redrive_tokens.get(client_token or "")
        if earlier and now - earlier <= _TOKEN_LIFE:
            return earlier
        reason = obstacle(execution, now)
        if reason:
            raise ExecutionNotRedrivable(f"{reason}: '{execution.exec_arn}'")
        execution.redrive(now)
        if client_token:
            execution.redrive_tokens[client_token] = now
            for token in list(execution.redrive_tokens)[:-_TOKENS_KEPT]:
                del execution.redrive_tokens[token]
        return now


def describe(execution: LocalExecution) -> dict[str, object]:
    """The redrive fields of DescribeExecution."""
    reason = obstacle(execution, datetime.datetime.now(datetime.UTC))
    described: dict[str, object] = {
        "redriveCount": execution.redrive_count,
        "redriveStatus": NOT_REDRIVABLE if reason else REDRIVABLE,
    }
    if reason:
        described["redriveStatusReason"] = reason
    if execution.redrive_date:
        described["redriveDate"] = execution.redrive_date
    return described


def _redrive_execution(self: StepFunctionResponse) -> ActionResult:
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    now = datetime.datetime.now(datetime.UTC)
    return ActionResult({"redriveDate": redrive(execution, self._get_param("clientToken"), now)})
