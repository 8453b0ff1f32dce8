"""Ctrl-C during a wait. Python itself can lose it."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


@contextmanager
def interruptible_sleep() -> Iterator[Callable[[float], None]]:
    """Yield a ``sleep`` that raises KeyboardInterrupt if Ctrl-C was pressed at any time within this context.

    Python discards an exception that is raised in a finalizer. A poll frees HTTP responses, whose finalizers run Python
    code (``HTTPResponse.close``), so a KeyboardInterrupt can be lost there, and the wait would go on. A process that
    ignores SIGINT, as a background job of a shell does, keeps ignoring it.
    """
    received = False

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal received
        received = True
        raise KeyboardInterrupt

    def sleep(seconds: float) -> None:
        if received:
            raise KeyboardInterrupt
        time.sleep(seconds)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield time.sleep
        return
    signal.signal(signal.SIGINT, on_signal)
    try:
        yield sleep
    finally:
        signal.signal(signal.SIGINT, before)
