"""One line of the table: what was measured, against what, and the target."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True)
class Figure:
    """One measurement. Its target is ``at_most``, ``at_least`` or both; one without a target explains others."""

    name: str
    ours: str
    against: str = ""
    value: float | None = None
    unit: str = "x"
    at_most: float | None = None
    at_least: float | None = None

    @property
    def target(self) -> str:
        """Return the target as text."""
        if self.at_most is not None:
            return f"<= {self.at_most:g} {self.unit}"
        return f">= {self.at_least:g} {self.unit}" if self.at_least is not None else ""

    @property
    def verdict(self) -> str:
        """Return ``PASS`` or ``MISS``, or nothing without a target."""
        if self.value is None or (self.at_most is None and self.at_least is None):
            return ""
        missed = (self.at_most is not None and self.value > self.at_most) or (
            self.at_least is not None and self.value < self.at_least
        )
        return "MISS" if missed else "PASS"


class Clock:
    """A stopwatch for several runs. The median counts, because one slow run says more about the machine.

    With ``time.process_time`` it measures this process alone, however busy the machine is.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.runs: list[float] = []
        self._now = now

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time one run."""
        started = self._now()
        yield
        self.runs.append(self._now() - started)

    @property
    def seconds(self) -> float:
        """Return the median of the runs."""
        return median(self.runs)


def table(figures: Sequence[Figure]) -> str:
    """Return all figures as text, in columns."""
    rows = [("", "worker", "against", "figure", "target", "")]
    for figure in figures:
        value = "" if figure.value is None else f"{figure.value:.3g} {figure.unit}"
        rows.append((figure.name, figure.ours, figure.against, value, figure.target, figure.verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def seconds(value: float) -> str:
    return f"{value:.2f} s"


def megabytes(value: float) -> str:
    return f"{value / 1e6:.1f} MB"
