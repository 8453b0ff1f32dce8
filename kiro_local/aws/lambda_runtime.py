"""Runs the deployed package and layers of a function in its own processes, which stay warm between invocations."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import threading
import uuid
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaFunction, lambda_backends

from kiro_local.aws.lambda_process import UNHANDLED, Answer, Death, Function, LambdaProcess
from kiro_local.aws.lambda_runtime_api import LARGEST_PAYLOAD
from kiro_local.aws.lambda_runtime_dir import make_runtime_directory
from kiro_local.aws.logs import LogStream
from kiro_local.aws.replacements import Replacements
from kiro_local.aws.session import ACCOUNT, REGION

# Per function. Starting a process takes far longer than invoking a warm one, so when many executions begin at once it
# is faster to wait for a warm process.
_MOST_PROCESSES = min(16, max(4, 2 * (os.cpu_count() or 1)))
_LOG_TAIL = 4096


class RequestTooLarge(LambdaClientError):  # type: ignore[misc]  # moto's errors are not typed
    code = 413

    def __init__(self) -> None:
        super().__init__(
            "RequestTooLargeException",
            f"Request must be smaller than {LARGEST_PAYLOAD} bytes for the InvokeFunction operation",
        )


class LambdaRuntime:
    """All Lambda processes of one embedded AWS."""

    def __init__(
        self,
        workspace: Path,
        aws_variables: Mapping[str, str],
        runtime_path: Path | None = None,
        on_line: Callable[[str, str], None] | None = None,
        most_processes: int = _MOST_PROCESSES,
    ) -> None:
        self._workspace = workspace
        self._aws_variables = aws_variables
        self._runtime_path = runtime_path
        self._on_line = on_line
        self._most = most_processes
        self._lock = threading.Lock()
        self._pools: dict[str, _Pool] = {}
        self._deaths: dict[str, Death] = {}
        self._closed = False

    def kill_next(self, name: str, death: Death) -> None:
        """Kill the process that receives the function's next event."""
        self._deaths[name] = death

    def invoke(self, moto_function: LambdaFunction, payload: bytes) -> tuple[Answer, LogStream]:
        """Run the function once, in an idle process or a new one, and return its answer and log."""
        while True:
            pool = self._pool(moto_function)
            process = pool.take()
            if process:
                break
        try:
            return process.invoke(payload, self._deaths.pop(moto_function.function_name, None)), process.logs
        finally:
            pool.give_back(process)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            pools = list(self._pools.values())
            self._pools.clear()
        for pool in pools:
            pool.close(kill=True)

    def _pool(self, moto_function: LambdaFunction) -> _Pool:
        """The pool of the function's current revision. A changed function gets a new pool, and the old one closes."""
        revision = _revision(moto_function)
        with self._lock:
            if self._closed:
                raise LambdaClientError("ServiceException", "The embedded AWS is stopping.")
            pool = self._pools.get(moto_function.function_name)
            if pool and pool.revision == revision:
                return pool
            new = _Pool(revision, self._most, self._starter(moto_function))
            self._pools[moto_function.function_name] = new
        if pool:
            pool.close()
        return new

    def _starter(self, moto_function: LambdaFunction) -> Callable[[], LambdaProcess]:
        function = self._unpacked(moto_function)
        home = self._workspace / "homes" / function.name
        home.mkdir(parents=True, exist_ok=True)
        if self._runtime_path is None:
            self._runtime_path = make_runtime_directory(self._workspace / "runtime")
        runtime_path, on_line = self._runtime_path, self._on_line

        def start() -> LambdaProcess:
            stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
            listener = (lambda line: on_line(function.name, line)) if on_line else None
            logs = LogStream(function.log_group, stream, listener)
            return LambdaProcess(function, runtime_path, home, self._aws_variables, logs)

        return start

    def _unpacked(self, function: LambdaFunction) -> Function:
        backend = lambda_backends[ACCOUNT][REGION]
        layers = [backend.layers_versions_by_arn(layer["Arn"]) for layer in function.layers]
        logging = getattr(function, "logging_config", None) or {}
        return Function(
            name=function.function_name,
            arn=function.function_arn,
            handler=function.handler,
            runtime=function.run_time,
            timeout=int(function.timeout),
            memory=int(function.memory_size),
            environment={name: str(value) for name, value in (function.environment_vars or {}).items()},
            task_root=self._extract("tasks", function.code_bytes),
            layers=tuple(self._extract("layers", layer.code_bytes) for layer in layers if layer),
            log_group=logging.get("LogGroup") or function.logs_group_name,
        )

    def _extract(self, kind: str, archive: bytes) -> Path:
        target = self._workspace / kind / hashlib.sha256(archive).hexdigest()[:16]
        if not target.exists():
            partial = target.with_suffix(".partial")
            with zipfile.ZipFile(io.BytesIO(archive)) as opened:
                opened.extractall(partial)
            partial.rename(target)
        return target


class _Pool:
    """The processes of one revision of one function, each with at most one event at a time."""

    def __init__(self, revision: str, most: int, start: Callable[[], LambdaProcess]) -> None:
        self.revision = revision
        self._start = start
        self._slots = threading.Semaphore(most)
        self._lock = threading.Lock()
        self._idle: list[LambdaProcess] = []
        self._busy: set[LambdaProcess] = set()
        self._closed = False

    def take(self) -> LambdaProcess | None:
        """A process, or None if the pool was closed because the function changed: use the new pool instead."""
        self._slots.acquire()
        with self._lock:
            if self._closed:
                self._slots.release()
                return None
            process = self._idle.pop() if self._idle else None
        if process and not process.alive:
            process.close()
            process = None
        process = process or self._start()
        with self._lock:
            self._busy.add(process)
        return process

    def give_back(self, process: LambdaProcess) -> None:
        with self._lock:
            self._busy.discard(process)
            keep = process.alive and not self._closed
            if keep:
                self._idle.append(process)
        if not keep:
            process.close()
        self._slots.release()

    def close(self, kill: bool = False) -> None:
        """Close idle processes now and busy ones after their answer, or kill those too."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for process in idle:
            process.close()
        for process in busy if kill else ():
            process.kill()


def install(replacements: Replacements, runtime: LambdaRuntime) -> None:
    """Replaces ``LambdaFunction.invoke``, through which moto makes every invocation, because it needs Docker."""

    def invoke(self: LambdaFunction, body: Any, request_headers: Any, response_headers: Any) -> bytes:
        payload = body.encode() if isinstance(body, str) else bytes(body or b"")
        payload = payload or b"{}"
        _check(payload)
        kind = request_headers.get("x-amz-invocation-type") or "RequestResponse"
        response_headers["x-amz-executed-version"] = "$LATEST"
        if kind == "DryRun":
            return b""
        if kind == "Event":
            threading.Thread(target=runtime.invoke, args=(self, payload), daemon=True).start()
            return b""
        answer, logs = runtime.invoke(self, payload)
        if answer.error:
            response_headers["x-amz-function-error"] = UNHANDLED
        response_headers["x-amz-log-result"] = _tail(logs)
        return answer.payload

    replacements.set(LambdaFunction, "invoke", invoke)


def _check(payload: bytes) -> None:
    if len(payload) > LARGEST_PAYLOAD:
        raise RequestTooLarge
    try:
        json.loads(payload)
    except ValueError as problem:
        raise LambdaClientError(
            "InvalidRequestContentException", f"Could not parse request body into json: {problem}"
        ) from problem


def _tail(logs: LogStream) -> str:
    text = "\n".join(logs.last_lines).encode()[-_LOG_TAIL:]
    return base64.b64encode(text).decode()


def _revision(function: LambdaFunction) -> str:
    facts = [
        function.code_sha_256,
        function.handler,
        function.run_time,
        function.timeout,
        function.memory_size,
        function.environment_vars,
        [layer["Arn"] for layer in function.layers],
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
