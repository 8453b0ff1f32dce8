"""The event history of an execution, which continues across redrives, and the interrupt that wakes the execution's
waiting threads.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext, EventManager

HistoryListener = Callable[[str, Mapping[str, Any]], None]


class ExecutionHistory(EventManager):  # type: ignore[misc]  # moto's interpreter is not typed
    """The events of one drive, appended to those of the drives before it."""

    def __init__(self, execution_arn: str, listener: HistoryListener | None = None) -> None:
        super().__init__()
        self._execution_arn = execution_arn
        self._listener = listener
        self._open = True
        self._gate = threading.RLock()
        self._entered: set[EventHistoryContext] = set()
        self._latest = datetime.datetime.min.replace(tzinfo=datetime.UTC)
        self._waiting: set[threading.Event] = set()
        self._interrupted = False

    def continued(self) -> ExecutionHistory:
        """A new history for the next redrive, with all events so far."""
        following = ExecutionHistory(self._execution_arn, self._listener)
        following._history_event_list.extend(self._history_event_list)
        following._event_id_gen = self._event_id_gen
        following._latest = self._latest
        return following

    def skip_entry(self, context: EventHistoryContext) -> None:
        """Record no StateEntered event for the resumed state, because the history has one already."""
        with self._gate:
            self._entered.add(context)

    def add_event(
        self,
        context: EventHistoryContext,
        event_type: Any,
        event_details: Any = None,
        timestamp: datetime.datetime | None = None,
        update_source_event_id: bool = True,
    ) -> int:
        with self._gate:
            if not self._open:  # an abandoned Task finished after its execution had ended
                return int(context.last_published_event_id)
            if context in self._entered and str(event_type.value).endswith("StateEntered"):
                self._entered.discard(context)
                return int(context.last_published_event_id)
            self._latest = max(self._latest, timestamp or datetime.datetime.now(datetime.UTC))
            event_id = int(super().add_event(context, event_type, event_details, self._latest, update_source_event_id))
            event = self._history_event_list[-1]
        if self._listener:
            self._listener(self._execution_arn, event)
        return event_id

    def close(self) -> None:
        """Ignore all further events."""
        with self._gate:
            self._open = False

    def __len__(self) -> int:
        return len(self._history_event_list)

    def last_event_id(self) -> int:
        return int(self._history_event_list[-1]["id"]) if self._history_event_list else 0

    def interrupt(self) -> None:
        """Wake all waiting threads, because the drive is over."""
        with self._gate:
            self._interrupted = True
            for event in self._waiting:
                event.set()

    @contextmanager
    def interruptible(self, event: threading.Event) -> Iterator[threading.Event]:
        """Yield ``event``. Within this context, the end of the drive sets it too."""
        with self._gate:
            self._waiting.add(event)
            if self._interrupted:
                event.set()
        try:
            yield event
        finally:
            with self._gate:
                self._waiting.discard(event)
