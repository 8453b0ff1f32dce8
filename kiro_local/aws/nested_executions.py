"""``states:startExecution`` and ``.sync`` in a state machine, with field names converted as AWS does."""

from __future__ import annotations

import datetime
from typing import Any

from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn,
)
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from kiro_local.aws.replacements import Replacements


def install(replacements: Replacements) -> None:
    """Replaces ``StateTaskServiceSfn._normalise_parameters`` and ``_normalise_response``. A state machine writes
    ``StateMachineArn`` and reads ``ExecutionArn``, while boto3 uses ``stateMachineArn`` and ``executionArn``; moto
    converts neither.
    """
    replacements.set(StateTaskServiceSfn, "_normalise_parameters", _to_request)
    replacements.set(StateTaskServiceSfn, "_normalise_response", _from_response)


def _to_request(self: StateTaskServiceSfn, parameters: dict[str, Any], *_: Any, **__: Any) -> None:
    request = {key[:1].lower() + key[1:]: value for key, value in parameters.items()}
    if self._get_boto_service_action() == "start_execution" and not isinstance(request.get("input"), str):
        request["input"] = to_json_str(request.get("input", {}), separators=(",", ":"))
    parameters.clear()
    parameters.update(request)


def _from_response(_self: StateTaskServiceSfn, response: dict[str, Any], *_: Any, **__: Any) -> None:
    for key, value in list(response.items()):
        del response[key]
        response[key[:1].upper() + key[1:]] = (
            int(value.timestamp() * 1000) if isinstance(value, datetime.datetime) else value
        )
