"""EventBridge events for every status change of an execution, delivered to the rules of the default bus. moto sends
none.
"""

from __future__ import annotations

import datetime
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.exceptions import ServiceException, _RESTError
from moto.events.models import EventPattern, Rule, events_backends
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from kiro_local.aws import redrive
from kiro_local.aws.executions import ExecutionRuntime, LocalExecution
from kiro_local.aws.executions_api import start_execution
from kiro_local.aws.session import ACCOUNT, REGION

DETAIL_TYPE = "Step Functions Execution Status Change"
_LOG = logging.getLogger(__name__)


def install(runtime: ExecutionRuntime, deliver: Callable[[Mapping[str, Any]], None]) -> None:
    """Listens to the executions and replaces nothing in moto. Events of one execution are delivered in order; a
    ``deliver`` that drops, repeats or delays them is valid too, because AWS promises only best effort.
    """
    runtime.status_listeners.append(lambda execution: deliver(event_of(execution)))


def event_of(execution: LocalExecution) -> dict[str, Any]:
    """The event in the form that AWS documents: times in epoch milliseconds, and null for a missing value."""
    succeeded = execution.exec_status == ExecutionStatus.SUCCEEDED
    described = redrive.describe(execution)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": DETAIL_TYPE,
        "source": "aws.states",
        "account": ACCOUNT,
        "time": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": REGION,
        "resources": [execution.exec_arn],
        "detail": {
            "executionArn": execution.exec_arn,
            "stateMachineArn": execution.state_machine_arn,
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "name": execution.name,
            "status": execution.status,
            "startDate": _milliseconds(execution.start_date),
            "stopDate": _milliseconds(execution.stop_date),
            "input": execution.execution_input,
            "inputDetails": {"included": True},
            "output": json.dumps(execution.output, ensure_ascii=False, separators=(",", ":")) if succeeded else None,
            "outputDetails": {"included": True} if succeeded else None,
            "error": execution.error,
            "cause": execution.cause,
            "redriveCount": execution.redrive_count,
            "redriveDate": _milliseconds(execution.redrive_date),
            "redriveStatus": described["redriveStatus"],
            "redriveStatusReason": described.get("redriveStatusReason"),
        },
    }


def deliver(event: Mapping[str, Any]) -> None:
    """Start the state machines that the matching rules target, with the whole event as their input."""
    rules: list[Rule] = list(events_backends[ACCOUNT][REGION].event_buses["default"].rules.values())
    for rule in rules:
        if rule.state == "ENABLED" and _matches(rule.event_pattern, event):
            for target in list(rule.targets):
                _start(target, event)


def _matches(pattern: EventPattern, event: Mapping[str, Any]) -> bool:
    # An empty pattern, which a rule with a schedule has, matches everything in moto.
    return bool(pattern.get_pattern()) and bool(pattern.matches_event(event))


def _start(target: Mapping[str, Any], event: Mapping[str, Any]) -> None:
    if ":stateMachine:" not in target["Arn"]:
        _LOG.warning("status events are delivered to state machines only, not to %s", target["Arn"])
        return
    text = target.get("Input") or json.dumps(event, ensure_ascii=False)
    try:
        start_execution(stepfunctions_parser_backends[ACCOUNT][REGION], target["Arn"], None, text)
    except (ServiceException, _RESTError) as problem:
        _LOG.warning("the status event could not be delivered to %s: %s", target["Arn"], problem)


def _milliseconds(when: datetime.datetime | None) -> int | None:
    return int(when.timestamp() * 1000) if when else None
