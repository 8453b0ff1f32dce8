from __future__ import annotations

import io
import signal
from collections.abc import Iterator

import pytest

from kiro_worker.cli.interrupt import interruptible_sleep


class InterruptedResponse(io.IOBase):
    """Receives Ctrl-C in its finalizer, where Python discards the KeyboardInterrupt."""

    def close(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def _default_handler() -> Iterator[None]:
    """Python's own handler, even if the tests run as a background job of a shell, which ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_lost_interrupt_ends_next_sleep() -> None:
    with interruptible_sleep() as sleep:
        InterruptedResponse()
        with pytest.raises(KeyboardInterrupt):
            sleep(60)


def test_handler_is_restored_after_the_wait() -> None:
    with interruptible_sleep() as sleep:
        sleep(0)
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_interrupt_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible_sleep() as sleep:
            signal.raise_signal(signal.SIGINT)
            sleep(0)
    finally:
        signal.signal(signal.SIGINT, before)
