"""RedriveExecution, which moto lacks: the same execution continues from the state at which it ended, with that state's
input document, as the Developer Guide documents under "Redrive behavior of individual states":

- Task: scheduled and started again. Choice: evaluated again. Fail: fails again. Retries and timeouts, the state's and
  the state machine's, start over.
- Wait: waits again, and ends at once if its timestamp has passed.
- Pass: one that was exited is not executed again; one whose expression failed is.
- Nested ``startExecution.sync``: starts a new child execution, because it is a Task.

Executions with Parallel or Map states are rejected: AWS redrives only their unsuccessful branches and iterations, which
the embedded AWS does not emulate.
"""

from __future__ import annotations

import datetime
import json
import re

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.responses import StepFunctionResponse

from kiro_local.aws.executions import LocalExecution
from kiro_local.aws.replacements import Replacements

REDRIVABLE = "REDRIVABLE"
NOT_REDRIVABLE = "NOT_REDRIVABLE"
PERIOD = datetime.timedelta(days=14)
LONGEST = datetime.timedelta(days=365)
MOST_EVENTS = 24_999
_NOT_EMULATED = frozenset({"Parallel", "Map"})
_TOKEN = re.compile(r"[!-~]{1,64}")
_TOKENS_KEPT = 10
_TOKEN_LIFETIME = datetime.timedelta(minutes=15)


class ExecutionNotRedrivable(AWSError):  # type: ignore[misc]  # moto's errors are not typed
    TYPE = "ExecutionNotRedrivable"


class ValidationException(AWSError):  # type: ignore[misc]  # moto's errors are not typed
    TYPE = "ValidationException"


def install(replacements: Replacements) -> None:
    """Adds ``redrive_execution`` to ``StepFunctionResponse``, which has no such action."""
    replacements.set(StepFunctionResponse, "redrive_execution", _redrive_execution)


def obstacle(execution: LocalExecution, now: datetime.datetime) -> str | None:
    """Why the execution cannot be redriven, in AWS's wording where AWS documents one; None if it can."""
    if execution.exec_status in (ExecutionStatus.RUNNING, ExecutionStatus.SUCCEEDED):
        return f"Execution is {execution.status} and cannot be redriven"
    if execution.history_length >= MOST_EVENTS:
        return "Execution history event limit exceeded"
    if now - execution.start_date > LONGEST:
        return "Execution has exceeded the max execution time"
    if execution.stop_date and now - execution.stop_date > PERIOD:
        return "Execution redrivable period exceeded"
    for name, state in json.loads(execution.state_machine.definition)["States"].items():
        if state["Type"] in _NOT_EMULATED:
            return f"The embedded AWS does not redrive Parallel and Map states, and {name} is a {state['Type']} state"
    return None


def redrive(execution: LocalExecution, client_token: str | None, now: datetime.datetime) -> datetime.datetime:
    """Redrive the execution and return the time. Repeating a token within 15 minutes returns the first time and
    redrives nothing.
    """
    if client_token is not None and not _TOKEN.fullmatch(client_token):
        raise ValidationException(
            f"Value '{client_token}' at 'clientToken' failed to satisfy constraint: [!-~]{{1,64}}"
        )
    with execution.lock:
        earlier = execution.redrive_tokens.get(client_token or "")
        if earlier and now - earlier <= _TOKEN_LIFETIME:
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
