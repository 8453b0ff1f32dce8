"""An execution that can be stopped at once and redriven: one drive for its start, and one for each redrive."""

from __future__ import annotations

import datetime
import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from moto.stepfunctions.parser import models
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.backend.execution import Execution

from kiro_local.aws.drive import Drive
from kiro_local.aws.history import ExecutionHistory, HistoryListener
from kiro_local.aws.progress import Progress, Redriven
from kiro_local.aws.replacements import Replacements
from kiro_local.aws.undocumented import ASSUMED, Undocumented

_STOPPING_SECONDS = 10.0
_ORIGINAL_PARSE = AmazonStateLanguageParser.parse

StatusListener = Callable[["LocalExecution"], None]


@dataclass
class ExecutionRuntime:
    """What all executions of one embedded AWS share."""

    on_history_event: HistoryListener | None = None
    undocumented: Undocumented = ASSUMED
    status_listeners: list[StatusListener] = field(default_factory=list)
    _live: set[LocalExecution] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def status_changed(self, execution: LocalExecution) -> None:
        """Record that the execution runs or has ended, and notify the listeners.

        An execution counts as live until they have been notified, because they may start another one.
        """
        with self._lock:
            if execution.exec_status == ExecutionStatus.RUNNING:
                self._live.add(execution)
        for listener in self.status_listeners:
            listener(execution)
        with self._lock:
            if execution.exec_status != ExecutionStatus.RUNNING:
                self._live.discard(execution)

    def stop_all(self, seconds: float = _STOPPING_SECONDS) -> None:
        """Stop every running execution without notifying the listeners, because the embedded AWS is stopping."""
        self.status_listeners.clear()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self._lock:
                live = list(self._live)
            if not live:
                return
            for execution in live:
                execution.stop(datetime.datetime.now(datetime.UTC), "EmbeddedAws.Stopped", None)


def install(replacements: Replacements, runtime: ExecutionRuntime) -> None:
    """Replaces ``moto.stepfunctions.parser.models.Execution`` with :class:`LocalExecution`. Replaces
    ``AmazonStateLanguageParser.parse`` with a cached version, because parsing takes a third of a second for every
    execution, and ``EvalComponent.heap_key``, which generates its key on first use and is therefore not safe once
    executions share a parsed definition.
    """
    bound = type("Execution", (LocalExecution,), {"runtime": runtime})
    replacements.set(models, "Execution", bound)
    parse = functools.lru_cache(maxsize=64)(_ORIGINAL_PARSE)
    replacements.set(AmazonStateLanguageParser, "parse", staticmethod(parse))
    replacements.set(EvalComponent, "heap_key", property(lambda self: f"{id(self):x}"))


class LocalExecution(Execution):  # type: ignore[misc]  # moto's interpreter is not typed
    """An execution that runs in drives and keeps its redrives."""

    runtime: ClassVar[ExecutionRuntime]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.redrive_count = 0
        self.redrive_date: datetime.datetime | None = None
        self.redrive_tokens: dict[str, datetime.datetime] = {}
        self.lock = threading.RLock()
        self._drive: Drive | None = None

    def start(self) -> None:
        history = ExecutionHistory(self.exec_arn, self.runtime.on_history_event)
        self._begin(Drive(self, history, Progress()))

    def redrive(self, when: datetime.datetime) -> None:
        """Continue from the last state. The caller holds the lock and has checked that a redrive is allowed."""
        previous = self._drive
        if previous is None:
            raise RuntimeError(f"{self.exec_arn} never started")
        self.redrive_count += 1
        self.redrive_date = when
        self.stop_date: datetime.datetime | None = None
        self.output = None
        self.error: str | None = None
        self.cause: str | None = None
        redriven = Redriven(self.redrive_count, when, self.runtime.undocumented, previous.context())
        self._begin(Drive(self, previous.history.continued(), previous.progress.resumed(redriven)))

    def _begin(self, drive: Drive) -> None:
        self._drive = drive
        self.exec_worker = drive  # moto reads `exec_worker.env`
        self.exec_status = ExecutionStatus.RUNNING
        self.runtime.status_changed(self)
        drive.start(self._conclude)

    def stop(self, stop_date: datetime.datetime, error: str | None, cause: str | None) -> None:
        """Abort the execution if it runs. A function that is running finishes, and its result is dropped; a build is
        stopped (see ``Undocumented.abort_stops_build``).
        """
        drive = self._drive
        if drive and drive.abort(stop_date, error, cause):
            drive.concluded.wait(_STOPPING_SECONDS)

    def _conclude(self, drive: Drive) -> None:
        with self.lock:
            ending = drive.ending()
            self.stop_date = datetime.datetime.now(datetime.UTC)
            self.output, self.error, self.cause = ending.output, ending.error, ending.cause
            self.exec_status = ending.status  # last, so that a reader of the status finds the other fields set
        self.runtime.status_changed(self)

    @property
    def history_length(self) -> int:
        return len(self._drive.history) if self._drive else 0
