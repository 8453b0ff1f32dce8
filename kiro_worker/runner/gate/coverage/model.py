"""Coverage as one model, whatever format the report has."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Ratio(NamedTuple):
    """``covered`` lines or branches out of ``total``."""

    covered: int = 0
    total: int = 0

    @property
    def percent(self) -> float:
        """Rounded down to a tenth, so that the displayed figure never looks better than the compared one."""
        return int(self.covered * 1000 / self.total) / 10 if self.total else 0.0

    def meets(self, threshold: float) -> bool:
        """Return whether the ratio is at least ``threshold`` percent. A ratio without a total meets no threshold."""
        return bool(self.total) and self.covered * 100 >= threshold * self.total

    def __str__(self) -> str:
        return f"{self.percent:g}% ({self.covered}/{self.total})"


def checked_ratio(covered: int, total: int) -> Ratio:
    """Return the ratio that a report claims. Raises :class:`ValueError` for one that is above 100 %."""
    if covered > total:
        raise ValueError(f"{covered} of {total} are covered")
    return Ratio(covered, total)


class LineHits:
    """Collects which lines ran, per file. A line that ran once counts as run, whatever is added later."""

    def __init__(self) -> None:
        self.by_line: dict[str, dict[int, bool]] = defaultdict(dict)

    def add(self, path: str, line: int, ran: bool) -> None:
        lines = self.by_line[path]
        lines[line] = lines.get(line, False) or ran

    @property
    def ratio(self) -> Ratio:
        covered = sum(sum(lines.values()) for lines in self.by_line.values())
        return Ratio(covered, sum(map(len, self.by_line.values())))


@dataclass(frozen=True)
class Coverage:
    """The coverage in one or several reports.

    ``by_line`` maps each file's executable lines to whether they ran; None if the format does not record lines.
    """

    format: str
    lines: Ratio
    branches: Ratio = Ratio(0, 0)  # noqa: RUF009  # immutable
    by_line: Mapping[str, Mapping[int, bool]] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"lines {self.lines}" + (f", branches {self.branches}" if self.branches.total else "")


def total_of(ratios: Iterable[Ratio]) -> Ratio:
    """Return the sum of ``ratios``."""
    found = list(ratios)
    return Ratio(sum(ratio.covered for ratio in found), sum(ratio.total for ratio in found))


def merged(reports: Iterable[Coverage]) -> Coverage | None:
    """Return reports of one format merged: a line ran if it ran in any of them. None if there are no reports."""
    found = list(reports)
    if len(found) < 2:
        return found[0] if found else None
    branches = total_of(report.branches for report in found)
    if any(report.by_line is None for report in found):
        return Coverage(found[0].format, total_of(report.lines for report in found), branches)
    hits = LineHits()
    for report in found:
        for path, lines in (report.by_line or {}).items():
            for line, ran in lines.items():
                hits.add(path, line, ran)
    return Coverage(found[0].format, hits.ratio, branches, hits.by_line)
