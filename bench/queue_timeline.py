"""A simulated clock, and the processes that wait for it."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class Timeline:
    """Processes, in the order of their times. A process yields the number of seconds after which it goes on.

    ``spent`` are the seconds that the process which runs now has spent on requests, and has not yielded yet.
    """

    def __init__(self) -> None:
        self.spent = 0.0
        self._clock = 0.0
        self._events: list[tuple[float, int, Generator[float, None, None]]] = []
        self._serial = itertools.count()

    @property
    def now(self) -> float:
        """Seconds since the start, with those that are spent."""
        return self._clock + self.spent

    def add(self, process: Generator[float, None, None], delay: float) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._serial), process))

    def follow(self, is_enough: Callable[[], bool] = lambda: False) -> None:
        """Let the processes run until all have ended, or it ``is_enough``."""
        while self._events and not is_enough():
            self._clock, _, process = heapq.heappop(self._events)
            delay = next(process, None)
            if delay is not None:
                self.add(process, delay)

    def take_spent(self) -> float:
        """The seconds spent, which then count as not spent."""
        spent, self.spent = self.spent, 0.0
        return spent


class Functions:
    """The idle environments of Lambda functions. Each is kept for ``keep_warm`` seconds."""

    def __init__(self, keep_warm: float) -> None:
        self._keep_warm = keep_warm
        self._idle_since: dict[str, list[float]] = {}

    def take(self, function: str, now: float) -> bool:
        """Take the environment that was used last; return whether there is one, or a new one has to be started."""
        idle = [since for since in self._idle_since.get(function, ()) if since > now - self._keep_warm]
        is_warm = bool(idle)
        if idle:
            idle.remove(max(idle))
        self._idle_since[function] = idle
        return is_warm

    def give_back(self, function: str, now: float) -> None:
        self._idle_since[function].append(now)
