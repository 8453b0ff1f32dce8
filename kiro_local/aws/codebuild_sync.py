"""``codebuild:startBuild`` and ``.sync`` in a state machine: start a build, wait for it, and fail if it fails."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task import state_task_factory
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (
    StateTaskService,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_factory import (
    state_task_service_for,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.program_state import ProgramEnded, ProgramState, ProgramTimedOut
from moto.stepfunctions.parser.asl.utils import boto_client

from kiro_local.aws.interruption import pause
from kiro_local.aws.replacements import Replacements
from kiro_local.aws.session import REGION
from kiro_local.aws.undocumented import Undocumented

_FIRST_POLL_SECONDS = 0.05
_SLOWEST_POLL_SECONDS = 0.5
_FINAL = ("SUCCEEDED", "FAILED", "FAULT", "TIMED_OUT", "STOPPED")


def install(replacements: Replacements, undocumented: Callable[[], Undocumented]) -> None:
    """Replaces ``state_task_service_for`` in ``state_task_factory``, because moto lists codebuild as unsupported."""

    def with_codebuild(service_name: str) -> StateTaskService:
        return StartBuild(undocumented) if service_name == "codebuild" else state_task_service_for(service_name)

    replacements.set(state_task_factory, "state_task_service_for", with_codebuild)


class StartBuild(StateTaskServiceCallback):  # type: ignore[misc]  # moto's interpreter is not typed
    """The Task that starts a build and, with ``.sync``, waits for its end."""

    def __init__(self, undocumented: Callable[[], Undocumented]) -> None:
        super().__init__(supported_integration_patterns={ResourceCondition.Sync})
        self._undocumented = undocumented

    def _validate_service_integration_is_supported(self) -> None:
        if self.resource.api_action != "startBuild" or self.resource.condition not in (None, "sync"):
            raise ValueError(f"The resource provided {self.resource.resource_arn} is not recognized.")

    def _eval_service_task(
        self,
        env: Environment,
        resource_runtime_part: Any,
        normalised_parameters: dict[str, Any],
        state_credentials: Any,
    ) -> None:
        response = _codebuild().start_build(**_camel(normalised_parameters))
        env.stack.append({"Build": pascal(response["build"])})

    def _eval_integration_pattern(
        self,
        env: Environment,
        resource_runtime_part: Any,
        normalised_parameters: dict[str, Any],
        state_credentials: Any,
    ) -> None:
        build_id = env.stack.pop()["Build"]["Id"]
        build = self._wait(env, build_id)
        if build is None:
            if self._stops_build(env.program_state()):
                self._stop(build_id)
            return
        if build["BuildStatus"] != "SUCCEEDED":
            raise FailureEventException(self._failure(env, build))
        env.stack.append({"Build": build})

    def _wait(self, env: Environment, build_id: str) -> dict[str, Any] | None:
        seconds = _FIRST_POLL_SECONDS
        while env.is_running():
            found = _codebuild().batch_get_builds(ids=[build_id])["builds"]
            if found and found[0]["buildStatus"] in _FINAL:
                build: dict[str, Any] = pascal(found[0])
                return build
            pause(env, seconds)
            seconds = min(seconds * 1.5, _SLOWEST_POLL_SECONDS)
        return None

    def _stops_build(self, ending: ProgramState) -> bool:
        if isinstance(ending, ProgramTimedOut):
            return self._undocumented().machine_timeout_stops_build
        if isinstance(ending, ProgramEnded):  # the Task's own timeout closed its frame during the wait
            return self._undocumented().state_timeout_stops_build
        return self._undocumented().abort_stops_build

    def _stop(self, build_id: str) -> None:
        try:
            _codebuild().stop_build(id=build_id)
        except ClientError:
            return  # the build has ended or is gone

    def _failure(self, env: Environment, build: dict[str, Any]) -> FailureEvent:
        if not self._undocumented().failed_build_exports_variables:
            build = {**build, "ExportedEnvironmentVariables": []}
        error = self._undocumented().failed_build_error
        cause = json.dumps({"Build": build}, ensure_ascii=False, separators=(",", ":"))
        cause = cause[: self._undocumented().failed_build_cause_characters]
        return self._task_failed(env, CustomErrorName(error), error, cause)

    def _from_error(self, env: Environment, ex: Exception) -> FailureEvent:
        if not isinstance(ex, ClientError):
            return super()._from_error(env=env, ex=ex)
        error, metadata = ex.response["Error"], ex.response["ResponseMetadata"]
        name = f"CodeBuild.{error['Code']}"
        cause = (
            f"{error['Message']} (Service: AWSCodeBuild; Status Code: {metadata['HTTPStatusCode']}; "
            f"Error Code: {error['Code']}; Request ID: {metadata.get('RequestId', '')}; Proxy: null)"
        )
        return self._task_failed(env, CustomErrorName(name), name, cause)

    def _task_failed(self, env: Environment, error_name: Any, error: str, cause: str) -> FailureEvent:
        details = {
            "resource": self._get_sfn_resource(),
            "resourceType": self._get_sfn_resource_type(),
            "error": error,
            "cause": cause,
        }
        return FailureEvent(
            env=env,
            error_name=error_name,
            event_type=HistoryEventType.TaskFailed,
            event_details={"taskFailedEventDetails": details},
        )


def _codebuild() -> Any:
    return boto_client.boto_client_for(region=REGION, service="codebuild")


def pascal(value: Any) -> Any:
    """``value`` as the optimized integration returns it: keys in PascalCase, times in epoch milliseconds."""
    if isinstance(value, Mapping):
        return {key[:1].upper() + key[1:]: pascal(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [pascal(item) for item in value]
    if isinstance(value, datetime.datetime):
        return int(value.timestamp() * 1000)
    return value


def _camel(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key[:1].lower() + key[1:]: _camel(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_camel(item) for item in value]
    return value
