"""Counts what happens in a simulated queue, by time: totals, peaks, and the limits that are exceeded."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.queue_parameters import Limit


@dataclass(frozen=True)
class Hit:
    """The limit is exceeded for the first time ``at`` so many seconds after the start. Its peak is ``peak``."""

    limit: Limit
    at: float
    peak: float


class Meter:
    """Amounts by series and time. A series of things that happen at once counts +1 for a start and -1 for an end."""

    def __init__(self) -> None:
        self._noted: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def note(self, series: str, at: float, amount: float = 1) -> None:
        self._noted[series].append((at, amount))

    def during(self, series: str, start: float, end: float) -> None:
        """Note something that lasts from ``start`` to ``end``."""
        self.note(series, start)
        self.note(series, end, -1)

    def total(self, series: str) -> float:
        return sum(amount for _, amount in self._noted[series])

    def times(self, series: str) -> list[float]:
        """When something of this series happened, in order."""
        return sorted(at for at, _ in self._noted[series])

    def peak(self, series: str, seconds: float = 0) -> float:
        """The largest amount in any time of ``seconds``; with 0, the most at once."""
        return max((amount for _, amount in self._levels(series, seconds)), default=0)

    def duration(self, series: str, until: float) -> float:
        """The sum of all durations, as far as they are over ``until`` then."""
        return sum(amount * (until - at) for at, amount in self._noted[series] if at < until)

    def hits(self, limits: Iterable[Limit]) -> list[Hit]:
        """The limits that are exceeded, the first one first."""
        hits = [hit for limit in limits if (hit := self._hit(limit))]
        return sorted(hits, key=lambda hit: hit.at)

    def _hit(self, limit: Limit) -> Hit | None:
        if limit.refill:
            empty = self._when_empty(limit)
            return None if empty is None else Hit(limit, empty, self.peak(limit.series, 1))
        over = [(at, level) for at, level in self._levels(limit.series, limit.seconds) if level > limit.most]
        return Hit(limit, over[0][0], max(level for _, level in over)) if over else None

    def _levels(self, series: str, seconds: float) -> Iterable[tuple[float, float]]:
        """The amount in the time before each moment, or at once."""
        level = 0.0
        recent: deque[tuple[float, float]] = deque()
        # At the same moment, an end comes before a start.
        for at, amount in sorted(self._noted[series]):
            level += amount
            if seconds:
                recent.append((at, amount))
                while recent[0][0] <= at - seconds:
                    level -= recent.popleft()[1]
            yield at, level

    def _when_empty(self, limit: Limit) -> float | None:
        tokens, before = limit.most, 0.0
        for at, amount in sorted(self._noted[limit.series]):
            tokens = min(limit.most, tokens + (at - before) * limit.refill) - amount
            before = at
            if tokens < 0:
                return at
        return None
