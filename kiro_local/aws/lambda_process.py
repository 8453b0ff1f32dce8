"""One warm Lambda process, which runs the function's package under AWS's runtime client, one event at a time."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from kiro_local.aws import lambda_bootstrap
from kiro_local.aws.lambda_runtime_api import Invocation, Report, RuntimeApi
from kiro_local.aws.lines import LineReader
from kiro_local.aws.logs import LogStream

_INIT_SECONDS = 60.0  # the service allows 10, but on idle machines
_SETTLE_SECONDS = 5.0  # a process that never stops printing must not hold up its answer
UNHANDLED = "Unhandled"


@dataclass(frozen=True)
class Function:
    """A function as the template describes it, with its package and layers unpacked."""

    name: str
    arn: str
    handler: str
    runtime: str
    timeout: int
    memory: int
    environment: Mapping[str, str]
    task_root: Path
    layers: tuple[Path, ...]
    log_group: str


@dataclass(frozen=True)
class Answer:
    """The result of an invocation: the payload, and the kind of error if it failed."""

    payload: bytes
    error: str | None = None


class Death(Enum):
    """When a process is killed: after it has received the event, or after its response, which is then lost."""

    TAKEN = auto()
    ANSWERED = auto()


class LambdaProcess:
    """A process that stays warm between invocations, until it is killed or closed."""

    def __init__(
        self, function: Function, runtime_directory: Path, home: Path, aws_variables: Mapping[str, str], logs: LogStream
    ) -> None:
        """``aws_variables`` are the credentials, region and endpoint that AWS sets for every function."""
        self.function = function
        self.logs = logs
        self._api = RuntimeApi()
        output, output_end = os.pipe()
        paths = (function.task_root, *(layer / "python" for layer in function.layers), runtime_directory)
        command = [sys.executable, "-I", "-S", str(Path(lambda_bootstrap.__file__)), function.handler]
        try:
            self._process = subprocess.Popen(
                command + [str(path) for path in paths],
                cwd=function.task_root,
                env=self._environment(runtime_directory, home, aws_variables),
                stdin=subprocess.DEVNULL,
                stdout=output_end,
                stderr=output_end,
                start_new_session=True,
            )
        finally:
            os.close(output_end)
        self._reader = LineReader(output, logs.write)
        self._watcher = threading.Thread(target=self._watch, name=f"lambda-{function.name}", daemon=True)
        self._watcher.start()

    def _environment(self, runtime_directory: Path, home: Path, aws_variables: Mapping[str, str]) -> dict[str, str]:
        """The template's variables and those that Lambda documents. HOME hides the user's dot files."""
        function = self.function
        return {
            **function.environment,
            "_HANDLER": function.handler,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": self.logs.group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self.logs.stream,
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "HOME": str(home),
            "LAMBDA_RUNTIME_DIR": str(runtime_directory),
            "LAMBDA_TASK_ROOT": str(function.task_root),
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TZ": ":UTC",
            **aws_variables,
        }

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def invoke(self, payload: bytes, death: Death | None = None) -> Answer:
        """Run the handler once. After a timeout or an exit the process is dead."""
        request_id = str(uuid.uuid4())
        seconds = float(self.function.timeout)
        self._api.invocations.put(
            Invocation(request_id, self.function.arn, payload, int((time.time() + seconds) * 1000))
        )
        self.logs.write(f"START RequestId: {request_id} Version: $LATEST")
        started = time.monotonic()
        answer = self._await_answer(request_id, seconds, death)
        self._settle_output()
        milliseconds = (time.monotonic() - started) * 1000
        self.logs.write(f"END RequestId: {request_id}")
        self.logs.write(
            f"REPORT RequestId: {request_id} Duration: {milliseconds:.2f} ms Memory Size: {self.function.memory} MB"
        )
        return answer

    def _await_answer(self, request_id: str, seconds: float, death: Death | None) -> Answer:
        deadline = time.monotonic() + _INIT_SECONDS
        while True:
            try:
                report = self._api.reports.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self.kill()
                message = f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
                self.logs.write(message)
                return _failure("Sandbox.Timedout", message)
            if report.kind == "taken":
                deadline = time.monotonic() + seconds
                if death is Death.TAKEN:
                    self.kill()
            elif report.kind == "response" and death:
                self.kill()
            elif report.kind == "response":
                return Answer(report.body)
            elif report.kind == "exit":
                message = f"RequestId: {request_id} Error: Runtime exited with error: {report.body.decode()}"
                self.logs.write(message)
                return _failure("Runtime.ExitError", message)
            else:
                if report.kind == "init-error":
                    self.kill()
                return Answer(report.body, UNHANDLED)

    def _settle_output(self) -> None:
        """Let the reader catch up with the output from before the answer, so that the log is in order."""
        until = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < until and self._reader.pending():
            time.sleep(0.002)

    def _watch(self) -> None:
        code = self._process.wait()
        reason = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self._api.reports.put(Report("exit", reason.encode()))

    def kill(self) -> None:
        """Kill the process and everything it started. Safe to repeat."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        self.kill()
        self._api.close()
        self._watcher.join(5)
        self._reader.join(5)


def _failure(error_type: str, message: str) -> Answer:
    return Answer(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), UNHANDLED)
