"""Go, Maven, XCTest, CTest: tools that print one test, or the same test, several times."""

from __future__ import annotations

import json
import re
from typing import Final

from kiro_worker.runner.gate.summaries.counts import Counts, counts_of
from kiro_worker.runner.gate.summaries.reader import LONGEST_TEXT, Reader

_GO_TEST: Final = re.compile(r"--- (PASS|FAIL|SKIP): (\S+) \([\d.]+s\)$")
_GO_PACKAGE: Final = re.compile(r"(ok|FAIL)\s+(\S+)\s+(?:[\d.]+s|\(cached\)|\[[a-z ]+ failed\])(.*)")
_GO_NO_TESTS: Final = re.compile(r"\?\s+\S+\s+\[no test files\]|\s+\S+\s+coverage: [\d.]+% of statements$")
_GO_EVENT: Final = re.compile(r'\{.*"Action":"')
_SUREFIRE: Final = re.compile(r"(?:\[\w+\] )*Tests run: +\d+, +Failures: +\d+")
_SUREFIRE_NONE: Final = re.compile(r"(?:\[\w+\] )*(?:No tests to run\.|Tests are skipped\.)$")
_XCTEST: Final = re.compile(r"\s*Executed \d+ tests?, with (?:\d+ tests? skipped and )?\d+ failures? \(")
_CTEST: Final = re.compile(r"\d+% tests passed(?:, (\d{1,9}) tests? failed)? out of (\d{1,9})$")
_CTEST_NOT_RUN: Final = re.compile(r"\t {0,8}\d+ - \S.* \(Skipped\)$")


class GoReader(Reader):
    """Reads ``go test``, with ``-v`` or ``-json`` test by test.

    Without either, "ok" says that a package passed, but not whether a test in it ran; only the lines of tests say that.
    """

    tool = "go"

    def __init__(self) -> None:
        super().__init__()
        self._tests = Counts()
        self._packages = Counts()
        self._shows_tests = False

    def read(self, line: str) -> None:
        """Note a test, a package, or an event."""
        # A test that printed no line end has its result on the same line.
        if test := _GO_TEST.search(line):
            self._add_test(test[1], test[2], line)
        elif line.startswith("=== RUN "):
            self._shows_tests = True
        elif package := _GO_PACKAGE.match(line):
            self._add_package(package, line)
        elif _GO_NO_TESTS.match(line):
            self.note(Counts(), line)
        elif _GO_EVENT.match(line):
            self._read_event(line)

    def _add_test(self, result: str, name: str, line: str) -> None:
        self._shows_tests = True
        if "/" not in name:
            self._tests = self._tests.plus(_GO_RESULTS[result])
        self._show(line, failed=result == "FAIL")

    def _add_package(self, package: re.Match[str], line: str) -> None:
        failed = package[1] == "FAIL"
        nothing = "[no tests to run]" in package[3]
        self._packages = self._packages.plus(Counts(passed=int(not failed and not nothing), failed=int(failed)))
        self.parts_failed += failed
        self._show(line, failed=failed)

    def _show(self, line: str, *, failed: bool) -> None:
        self.counts = Counts()
        self.note(self._tests if self._shows_tests else self._packages, line, failed=failed)

    def _read_event(self, line: str) -> None:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict) or not isinstance(event.get("Package"), str):
            return
        result, name = str(event.get("Action")).upper(), str(event.get("Test") or "")
        if result in _GO_RESULTS and name:
            self._add_test(result, name, f"{result}: {name}")
        elif result == "FAIL":
            self._show(f"FAIL: {event['Package']}"[:LONGEST_TEXT], failed=True)
        elif result in _GO_RESULTS or name:
            self._shows_tests = True
            self.found = True

    @property
    def text(self) -> str:
        """The counts of tests, or of packages if the output does not show the tests."""
        if self._shows_tests:
            return str(self._tests)
        passed = self._packages.passed
        return f"{passed} packages passed" if passed > 1 and not self._packages.failed else self._line


_GO_RESULTS: Final = {"PASS": Counts(passed=1), "FAIL": Counts(failed=1), "SKIP": Counts(skipped=1)}


class SurefireReader(Reader):
    """Reads Maven's Surefire and Failsafe, which count each class and then all of them.

    A class that failed can pass when it is rerun, so the classes count only without totals.
    """

    tool = "Maven"

    def __init__(self) -> None:
        super().__init__()
        self._has_totals = False

    def read(self, line: str) -> None:
        """Note a class, a total, or that nothing ran."""
        if _SUREFIRE.match(line):
            is_class = "Time elapsed" in line
            if is_class and self._has_totals:
                return
            if not is_class and not self._has_totals:
                self._has_totals = True
                self.counts, self.failure, self._lines, self._line = Counts(), "", 0, ""
            self.note(counts_of(line, word_first=True), line)
        elif _SUREFIRE_NONE.match(line):
            self.note(Counts(), line)


class XCTestReader(Reader):
    """Reads XCTest, which repeats its counts for each level of suites: the largest one has all of them."""

    tool = "XCTest"

    def read(self, line: str) -> None:
        """Note a suite."""
        if _XCTEST.match(line):
            counts = counts_of(line.partition(" (")[0])
            largest = max(self.counts, counts, key=lambda each: (each.failed, each.executed, each.skipped))
            self.counts = Counts()
            self.note(largest, line)


class CTestReader(Reader):
    """Reads CTest, which counts a skipped test as passed, and names it after its summary."""

    tool = "CTest"

    def read(self, line: str) -> None:
        """Note the summary, or a test that was skipped."""
        if summary := _CTEST.match(line):
            failed = int(summary[1] or 0)
            self.note(Counts(passed=max(0, int(summary[2]) - failed), failed=failed), line)
        elif line == "No tests were found!!!":
            self.note(Counts(), line)
        elif self.counts.passed and _CTEST_NOT_RUN.match(line):
            self.note(Counts(passed=-1, skipped=1), line)
