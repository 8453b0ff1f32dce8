"""The embedded AWS as one object: start it, use its endpoint, stop it. Stopping removes every trace of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from moto.core.base_backend import BackendDict
from moto.core.config import default_user_config

from kiro_local.aws import (
    builds_api,
    cloudformation,
    cloudformation_stacks,
    cloudformation_types,
    codebuild_sync,
    dynamodb,
    error_matching,
    executions,
    executions_api,
    fault_injection,
    interruption,
    jsonata,
    lambda_runtime,
    loopback,
    nested_executions,
    progress,
    redrive,
    routing,
    status_events,
)
from kiro_local.aws.builds import Builds
from kiro_local.aws.executions import ExecutionRuntime
from kiro_local.aws.fault_injection import StepFaults
from kiro_local.aws.history import HistoryListener
from kiro_local.aws.http import LoopbackServer, RequestListener
from kiro_local.aws.lambda_runtime import LambdaRuntime
from kiro_local.aws.replacements import Replacements
from kiro_local.aws.session import CREDENTIALS, REGION, Clients
from kiro_local.aws.step_fault import StepFault
from kiro_local.aws.undocumented import ASSUMED, Undocumented
from kiro_worker.errors import KiroWorkerError

#: Called with the name of the function or the id of the build, and one line of its output.
LineListener = Callable[[str, str], None]

_running = threading.Lock()  # moto keeps its state in the process, not in the server


class EmbeddedAwsRunning(KiroWorkerError):
    """This process runs an embedded AWS already. It can run only one: moto keeps its state in module variables."""


class EmbeddedAws:
    """``with EmbeddedAws() as aws: aws.client("stepfunctions")…``. Other processes use ``aws.endpoint_url``."""

    def __init__(
        self,
        port: int = 0,
        *,
        runtime_path: Path | None = None,
        on_history_event: HistoryListener | None = None,
        on_function_line: LineListener | None = None,
        on_build_line: LineListener | None = None,
        on_request: RequestListener | None = None,
        undocumented: Undocumented = ASSUMED,
        pause_scale: float = 1.0,
        minute_seconds: float = 60.0,
        faults: Iterable[StepFault] = (),
        late_seconds: float | None = None,
    ) -> None:
        """``runtime_path`` is a directory that contains awslambdaric. ``undocumented`` is how AWS behaves where its
        documentation is silent. ``faults`` are injected; postponed work is done after ``late_seconds``. Tests shorten
        retries and Wait states with ``pause_scale``, and the minutes of build timeouts with ``minute_seconds``.
        """
        self._port = port
        self._pause_scale, self._minute_seconds = pause_scale, minute_seconds
        self._runtime_path = runtime_path
        self._on_function_line = on_function_line
        self._on_build_line = on_build_line
        self._on_history_event = on_history_event
        self._on_request = on_request
        self.faults = StepFaults(late_seconds)
        for fault in faults:
            self.faults.add(fault)
        self.executions = ExecutionRuntime(self._on_event, undocumented)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if not _running.acquire(blocking=False):
            raise EmbeddedAwsRunning("This process runs an embedded AWS already.", "stop it first")
        with ExitStack() as stack:
            stack.callback(_running.release)
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def _start(self, stack: ExitStack) -> None:
        stack.callback(BackendDict.reset)
        BackendDict.reset()
        self.workspace = Path(stack.enter_context(TemporaryDirectory(prefix="embedded-aws-")))
        server = LoopbackServer(self._port, self._on_request)
        stack.callback(server.stop)  # takes effect only if the rest fails to start; a second stop is harmless
        self.endpoint_url = server.url
        self.clients = Clients(server.url)
        stack.callback(self.clients.close)
        self.lambdas = LambdaRuntime(
            self.workspace / "lambda", self.environment, self._runtime_path, self._on_function_line
        )
        self.builds = Builds(
            self.workspace / "builds",
            self.clients,
            self.environment,
            self._on_line,
            self._minute_seconds,
            undocumented=lambda: self.executions.undocumented,
        )
        replacements = Replacements()
        stack.callback(replacements.restore)
        self._install(replacements)
        status_events.install(self.executions, lambda event: self.faults.deliver(event))
        stack.enter_context(_configuration())
        server.start()
        stack.callback(server.stop)
        stack.callback(self.lambdas.close)
        stack.callback(self.builds.close)
        stack.callback(self.executions.stop_all)

    def _install(self, replacements: Replacements) -> None:
        routing.install(replacements)
        cloudformation.install(replacements)
        cloudformation_types.install(replacements)
        cloudformation_stacks.install(replacements, self.clients)
        dynamodb.install(replacements)
        loopback.install(replacements, self.clients)
        jsonata.install(replacements)
        error_matching.install(replacements)
        interruption.install(replacements, self._pause_scale)
        progress.install(replacements)
        executions.install(replacements, self.executions)
        executions_api.install(replacements)
        redrive.install(replacements)
        nested_executions.install(replacements)
        codebuild_sync.install(replacements, lambda: self.executions.undocumented)
        lambda_runtime.install(replacements, self.lambdas)
        builds_api.install(replacements, self.builds)
        fault_injection.install(replacements, self.faults, self.lambdas, self.builds)

    def _on_event(self, arn: str, event: Mapping[str, Any]) -> None:
        if self._on_history_event:
            self._on_history_event(arn, event)
        self.faults.on_history_event(arn, event)

    def _on_line(self, build_id: str, line: str) -> None:
        if self._on_build_line:
            self._on_build_line(build_id, line)
        self.faults.on_build_line(line)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def client(self, service: str) -> Any:
        """The shared boto3 client of a service of the embedded AWS."""
        return self.clients.get(service)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point boto3 in another process here and away from the user's AWS configuration."""
        return {
            **CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,
        }


@contextmanager
def _configuration() -> Iterator[None]:
    """Configure moto to execute state machines, and silence its interpreter, which logs every failed state as an
    error.
    """
    before = dict(default_user_config["stepfunctions"])
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    interpreter = logging.getLogger("moto.stepfunctions.parser")
    level = interpreter.level
    interpreter.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        interpreter.setLevel(level)
        default_user_config["stepfunctions"].update(before)
