"""Tables in the documentation whose rows are the results of tests.

Each test compares its own row with what it observed, so the page cannot go out of date. With
``KIRO_WORKER_WRITE_TABLES=1`` (``make tables``) the test writes the row instead. Tests write one row at a time,
because the tests of one table may run in several processes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from tools.generator import Section, markdown_row

_HOW_TO_FIX = "How to fix, if the observed row is right: make tables"


@dataclass(frozen=True)
class Table:
    """The section ``name`` of ``docs/<page>``.

    ``keys`` are the leading cells of its rows, which the tests know beforehand, in the order of the table.
    """

    page: str
    name: str
    columns: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]

    @property
    def section(self) -> Section:
        return Section(f"docs/{self.page}", self.name, "make tables")

    def compare_row(self, key: tuple[str, ...], *cells: str) -> None:
        """Compares the row that a test observed with the page, or writes it there."""
        observed = markdown_row((*key, *cells))
        if os.environ.get("KIRO_WORKER_WRITE_TABLES") == "1":
            self._write({**self._rows(), key: observed})
        documented = self._rows().get(key, "")
        assert documented == observed, (
            f"docs/{self.page} has the row\n{documented or 'none'}\nand the test observed\n{observed}\n{_HOW_TO_FIX}"
        )

    def require_complete(self) -> None:
        """The page has exactly these rows, in this order."""
        assert list(self._rows()) == list(self.keys), f"docs/{self.page} has other rows. {_HOW_TO_FIX}"

    def _rows(self) -> dict[tuple[str, ...], str]:
        lines = self.section.read().strip().splitlines()[2:]
        size = len(self.keys[0])
        return {tuple(cell.strip() for cell in line.strip("| ").split("|")[:size]): line for line in lines}

    def _write(self, rows: dict[tuple[str, ...], str]) -> None:
        head = (markdown_row(self.columns), "|---" * len(self.columns) + "|")
        table = "\n".join([*head, *(rows[key] for key in self.keys if key in rows)])
        page = self.section.filled_with(f"{table}\n")
        page.path.write_text(page.text, "utf-8")
