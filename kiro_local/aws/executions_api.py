"""The actions on executions, where moto's responses are incomplete: generated names, stop errors, redrive fields and
pages of history.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import re
import threading
import uuid
from typing import Any

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.stepfunctions.exceptions import InvalidExecutionInput, InvalidName, InvalidToken
from moto.stepfunctions.parser import api
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.responses import StepFunctionResponse

from kiro_local.aws import redrive
from kiro_local.aws.executions import LocalExecution
from kiro_local.aws.replacements import Replacements

EXECUTION_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
_LARGEST_INPUT = 256 * 1024
_LARGEST_PAGE = 1000
# Two requests for one name must not both find it free. Reentrant, because a start can trigger another through a rule.
_starting = threading.RLock()


def install(replacements: Replacements) -> None:
    """Replaces in ``StepFunctionResponse``

    - ``start_execution``: without a name AWS generates a UUID, while moto's executions collide,
    - ``stop_execution``, which drops error and cause,
    - ``describe_execution`` and ``list_executions``, which lack the redrive fields, and stopDate after a timeout,
    - ``get_execution_history``, which has neither pages nor reverse order.

    Sets ``TYPE`` of the errors in ``moto.stepfunctions.parser.api``, which otherwise reach the caller without their
    names.
    """
    for error in vars(api).values():
        if isinstance(error, type) and issubclass(error, AWSError) and error is not AWSError:
            replacements.set(error, "TYPE", error.__name__)
    replacements.set(StepFunctionResponse, "start_execution", _start_execution)
    replacements.set(StepFunctionResponse, "stop_execution", _stop_execution)
    replacements.set(StepFunctionResponse, "describe_execution", _describe_execution)
    replacements.set(StepFunctionResponse, "list_executions", _list_executions)
    replacements.set(StepFunctionResponse, "get_execution_history", _get_execution_history)


def start_execution(backend: Any, machine_arn: str, name: str | None, execution_input: str) -> LocalExecution:
    """Start an execution, on behalf of the API or of an EventBridge rule."""
    if name is not None and not EXECUTION_NAME.fullmatch(name):
        raise InvalidName(f"Invalid Name: '{name}'")
    if len(execution_input.encode()) > _LARGEST_INPUT:
        raise InvalidExecutionInput("Invalid State Machine Execution Input: larger than 262144 bytes")
    try:
        json.loads(execution_input)
    except ValueError as problem:
        raise InvalidExecutionInput(f"Invalid State Machine Execution Input: '{problem}'") from problem
    with _starting:
        started: LocalExecution = backend.start_execution(machine_arn, name or str(uuid.uuid4()), execution_input)
        return started


def _start_execution(self: StepFunctionResponse) -> ActionResult:
    execution = start_execution(
        self.stepfunction_backend,
        self._get_param("stateMachineArn"),
        self._get_param("name"),
        self._get_param("input", if_none="{}"),
    )
    return ActionResult({"executionArn": execution.exec_arn, "startDate": execution.start_date})


def _stop_execution(self: StepFunctionResponse) -> ActionResult:
    execution: LocalExecution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    now = datetime.datetime.now(datetime.UTC)
    execution.stop(now, self._get_param("error"), self._get_param("cause"))
    return ActionResult({"stopDate": execution.stop_date or now})


def _describe_execution(self: StepFunctionResponse) -> ActionResult:
    execution: LocalExecution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    with execution.lock:
        return ActionResult(describe(execution))


def describe(execution: LocalExecution) -> dict[str, Any]:
    """The execution as DescribeExecution returns it."""
    described: dict[str, Any] = {
        **_summary(execution),
        "input": execution.execution_input,
        "inputDetails": {"included": True},
        **redrive.describe(execution),
    }
    if execution.exec_status == ExecutionStatus.SUCCEEDED:
        described["output"] = json.dumps(execution.output, ensure_ascii=False, separators=(",", ":"))
        described["outputDetails"] = {"included": True}
    for name in ("error", "cause"):
        if getattr(execution, name) is not None:
            described[name] = getattr(execution, name)
    return described


def _summary(execution: LocalExecution) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
    }
    if execution.exec_status != ExecutionStatus.RUNNING:
        summary["stopDate"] = execution.stop_date
    return summary


def _list_executions(self: StepFunctionResponse) -> ActionResult:
    wanted = self._get_param("redriveFilter")
    if wanted not in (None, "REDRIVEN", "NOT_REDRIVEN"):
        raise redrive.ValidationException(f"Value '{wanted}' at 'redriveFilter' is not one of REDRIVEN, NOT_REDRIVEN")
    executions, token = self.stepfunction_backend.list_executions(
        self._get_param("stateMachineArn"),
        status_filter=self._get_param("statusFilter"),
        max_results=self._get_int_param("maxResults"),
        next_token=self._get_param("nextToken"),
    )
    listed = []
    for execution in executions:
        if wanted and (execution.redrive_count > 0) != (wanted == "REDRIVEN"):
            continue
        redriven = {"redriveDate": execution.redrive_date} if execution.redrive_date else {}
        listed.append({**_summary(execution), "redriveCount": execution.redrive_count, **redriven})
    return ActionResult({"executions": listed, "nextToken": token})


def _get_execution_history(self: StepFunctionResponse) -> ActionResult:
    execution: LocalExecution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    events = execution.to_history_output()["events"]
    if self._get_param("reverseOrder"):
        events.reverse()
    size = min(self._get_int_param("maxResults") or _LARGEST_PAGE, _LARGEST_PAGE)
    start = _from_token(self._get_param("nextToken"))
    page: dict[str, Any] = {"events": events[start : start + size]}
    if start + size < len(events):
        page["nextToken"] = base64.b64encode(str(start + size).encode()).decode()
    return ActionResult(page)


def _from_token(token: str | None) -> int:
    try:
        return int(base64.b64decode(token, validate=True)) if token else 0
    except (ValueError, binascii.Error) as problem:
        raise InvalidToken(str(token)) from problem
