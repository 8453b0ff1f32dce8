"""The reports that a test run wrote: found, read and added up.

A report that cannot be read stops nothing: it becomes a note in the result and in the comment. The gate then decides
as it does without that report.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from kiro_worker.runner.gate import junit
from kiro_worker.runner.gate.coverage import formats
from kiro_worker.runner.gate.coverage.model import merged
from kiro_worker.runner.gate.coverage.product import NotProduct
from kiro_worker.runner.gate.report_files import Unreadable, files_written_since, read_report, regular_file_in
from kiro_worker.runner.sandbox.printable import printable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kiro_worker.config.settings import CoverageSettings
    from kiro_worker.runner.gate.cases import CaseResults
    from kiro_worker.runner.gate.coverage.model import Coverage
    from kiro_worker.runner.gate.junit import JUnitTotals
    from kiro_worker.runner.gate.report_files import Signature

MAX_REPORTS: Final = 500
MAX_BYTES: Final = 256 * 1024 * 1024
"""How large the reports of a run may be together, because all are kept in memory."""
MAX_NOTES: Final = 5
TESTS: Final = "tests"
COVERAGE: Final = "coverage"

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Reports:
    """The reports of a run: of its tests, and of coverage in one format.

    ``cases`` has the result of each test in ``tests``. ``contents`` maps the path of each report that was read to its
    kind and content. ``notes`` says, by kind, which reports were ignored and why.
    """

    tests: JUnitTotals | None = None
    coverage: Coverage | None = None
    contents: Mapping[Path, tuple[str, bytes]] = field(default_factory=dict, repr=False)
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cases: CaseResults | None = field(default=None, repr=False)

    @classmethod
    def written_since(
        cls,
        before: Mapping[Path, Signature],
        settings: CoverageSettings,
        folder: Path,
        home: Path,
        log: Callable[[str], None],
    ) -> Reports:
        """Return the reports that are new or changed since ``before``. Every note is also logged."""
        reading = _Reading(log)
        found = files_written_since(before, (folder, home), junit.PATTERNS)
        suites = reading.read(TESTS, found, junit.read_suites)
        found = _coverage_reports(settings.report, folder, home, before)
        files = (str(path.relative_to(folder)) for path in before if path.is_relative_to(folder)) if found else ()
        left_out = NotProduct(folder, settings.exclude, files)
        coverages = reading.read(COVERAGE, found, partial(formats.read_coverage, left_out=left_out))
        coverages = [coverage for coverage in coverages if coverage.format == coverages[0].format]
        notes = {kind: tuple(notes) for kind, notes in reading.notes.items()}
        if not suites:
            return cls(None, merged(coverages), reading.contents, notes)
        return cls(junit.total_of(suites), merged(coverages), reading.contents, notes, junit.results_of(suites))

    def with_notes(self, kind: str, notes: tuple[str, ...]) -> Reports:
        """Return the same reports with further notes."""
        return replace(self, notes={**self.notes, kind: (*notes, *self.notes.get(kind, ()))})

    def copy_to(self, target: Path, redact: Callable[[str], str]) -> None:
        """Copy the reports, redacted, to one folder per kind under new names."""
        for number, (path, (kind, content)) in enumerate(self.contents.items(), 1):
            (target / kind).mkdir(parents=True, exist_ok=True)
            name = re.sub(r"[^A-Za-z0-9._-]", "-", path.name)[-80:]
            (target / kind / f"{number:03}-{name}").write_text(redact(content.decode(errors="replace")), "utf-8")
        if self.coverage and (document := formats.as_cobertura(self.coverage)):
            (target / COVERAGE / "cobertura.xml").write_text(redact(document.decode()), "utf-8")


class _Reading:
    """Collects what was read, and a note for each report that was not."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self.contents: dict[Path, tuple[str, bytes]] = {}
        self.notes: dict[str, list[str]] = {TESTS: [], COVERAGE: []}
        self._log = log
        self._size = 0

    def read(self, kind: str, paths: list[Path], read: Callable[[bytes, str], _Read]) -> list[_Read]:
        """Return what ``read`` makes of each path."""
        results = []
        if len(paths) > MAX_REPORTS:
            self._note(kind, f"only the first {MAX_REPORTS} of {len(paths)} reports were read")
        for path in paths[:MAX_REPORTS]:
            try:
                content = read_report(path)
                self._size += len(content)
                if self._size > MAX_BYTES:
                    self._note(kind, f"further reports ignored: together, they are larger than {MAX_BYTES >> 20} MB")
                    break
                results.append(read(content, printable_name(path.name)))
            except Unreadable as error:
                self._note(kind, printable_name(f"report ignored: {error}"))
            else:
                self.contents[path] = kind, content
        return results

    def _note(self, kind: str, text: str) -> None:
        self._log(text)
        if len(self.notes[kind]) < MAX_NOTES:
            self.notes[kind].append(text)


def _coverage_reports(named: str | None, folder: Path, home: Path, before: Mapping[Path, Signature]) -> list[Path]:
    """Return the report that the configuration names, or else all reports of the first format that is found."""
    if named:
        path = regular_file_in(folder, named)
        return files_written_since(before, (path.parent,), (path.name,))[:1] if path else []
    for patterns in formats.PATTERNS.values():
        if found := files_written_since(before, (folder, home), patterns):
            return found
    return []
