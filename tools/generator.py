"""What every generator shares: its command line, and the marked section of a page that it writes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


class SectionMissing(Exception):
    """A page lacks the markers between which its generated text belongs."""


@dataclass(frozen=True)
class GeneratedFile:
    """``text`` is the whole file, of which possibly only a section is generated."""

    path: Path
    text: str

    @property
    def is_current(self) -> bool:
        return self.path.is_file() and self.path.read_text("utf-8") == self.text


@dataclass(frozen=True)
class Section:
    """The part of ``page``, a path below ``root``, between two markers that name it and the command that writes it."""

    page: str
    name: str
    command: str = "make docs"
    root: Path = ROOT

    @property
    def begin(self) -> str:
        return f"<!-- {self.name}: begin ({self.command}) -->"

    @property
    def end(self) -> str:
        return f"<!-- {self.name}: end -->"

    def read(self) -> str:
        return self._parts()[1].removeprefix("\n")

    def filled_with(self, content: str) -> GeneratedFile:
        """Return the page with ``content``, which ends in a line break, between the markers."""
        before, _, after = self._parts()
        return GeneratedFile(self.root / self.page, f"{before}{self.begin}\n{content}{self.end}{after}")

    def _parts(self) -> tuple[str, str, str]:
        before, _, rest = (self.root / self.page).read_text("utf-8").partition(self.begin)
        content, end, after = rest.partition(self.end)
        if not end:
            raise SectionMissing(f"{self.page} has no section {self.name}. How to fix: add {self.begin} and {self.end}")
        return before, content, after


def command_line(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is out of date")
    return parser


def write_or_check(files: Iterable[GeneratedFile], *, check: bool) -> int:
    """Write the files that are out of date, or report them, and return the exit code."""
    outdated = [file for file in files if not file.is_current]
    for file in outdated:
        if check:
            print(f"{file.path.relative_to(ROOT)} is out of date. How to fix: make docs", file=sys.stderr)
        else:
            file.path.write_text(file.text, "utf-8")
    return 1 if check and outdated else 0


def markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def markdown_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table that ends in a line break. A ``|`` in a cell is written ``\\|``, as GitHub's Markdown requires."""
    columns = list(head)
    escaped = (markdown_row(cell.replace("|", "\\|") for cell in row) for row in rows)
    return "\n".join([markdown_row(columns), "|---" * len(columns) + "|", *escaped]) + "\n"
