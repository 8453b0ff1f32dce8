"""A table in the documentation whose rows come from tests: each test compares its own row with what it saw, so that the
page cannot go stale, and writes it instead when ``KIRO_WORKER_WRITE_TABLES=1`` (``make tables``).

A row at a time, because the tests of one table may run in several processes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_TO_MEND = "How to fix, if what the test saw is right: make tables"


@dataclass(frozen=True)
class Table:
    """The table ``name`` of ``docs/<page>``, between its markers. ``keys`` are the beginnings of its rows, the cells
    that the tests know beforehand, in their order.
    """

    page: str
    name: str
    columns: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]

    @property
    def begin(self) -> str:
        return f"<!-- {self.name}: begin (make tables) -->"

    @property
    def end(self) -> str:
        return f"<!-- {self.name}: end -->"

    def saw(self, key: tuple[str, ...], *cells: str) -> None:
        """What a test saw for its row: the page says the same, or is made to."""
        wanted = self._row((*key, *cells))
        if os.environ.get("KIRO_WORKER_WRITE_TABLES") == "1":
            self._write({**self._rows(), key: wanted})
        said = self._rows().get(key, "")
        assert said == wanted, f"docs/{self.page} says\n{said or 'nothing'}\nand the test saw\n{wanted}\n{_TO_MEND}"

    def require_complete(self) -> None:
        """The page has these rows, in this order, and no others."""
        assert list(self._rows()) == list(self.keys), f"docs/{self.page} has other rows. {_TO_MEND}"

    def _rows(self) -> dict[tuple[str, ...], str]:
        lines = self._parts()[1].strip().splitlines()[2:]
        size = len(self.keys[0])
        return {tuple(cell.strip() for cell in line.strip("| ").split("|")[:size]): line for line in lines}

    def _write(self, rows: dict[tuple[str, ...], str]) -> None:
        before, _, after = self._parts()
        head = (self._row(self.columns), "|---" * len(self.columns) + "|")
        table = "\n".join([*head, *(rows[key] for key in self.keys if key in rows)])
        (DOCS / self.page).write_text(f"{before}{self.begin}\n{table}\n{self.end}{after}", "utf-8")

    def _parts(self) -> tuple[str, str, str]:
        before, _, rest = (DOCS / self.page).read_text("utf-8").partition(self.begin)
        table, end, after = rest.partition(self.end)
        assert end, f"docs/{self.page} has no place for the table: put {self.begin} and {self.end} there"
        return before, table, after

    @staticmethod
    def _row(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"
