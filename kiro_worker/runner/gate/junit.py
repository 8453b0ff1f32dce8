"""The totals of a test run, read from JUnit XML: how many tests ran, failed and were skipped, and which ones failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from junitparser import Error, Failure, JUnitXml, JUnitXmlError, Skipped, TestCase, TestSuite

from kiro_worker.runner.gate.report_files import Unreadable, parse_xml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PATTERNS: Final = (
    *("junit*.xml", "*junit.xml", "*-junit-*.xml", "TEST-*.xml", "pytest.xml", "test-results.xml", "test-report.xml"),
    *("surefire-reports/*.xml", "failsafe-reports/*.xml", "test-results/*.xml", "junit/*.xml", "test-reports/*.xml"),
)
"""Where pytest, jest-junit, mocha-junit-reporter, vitest, gotestsum, nextest, Surefire, Failsafe and Gradle write."""

_Kind = TypeVar("_Kind")

MAX_NAMES: Final = 20
MAX_NAME_LENGTH: Final = 200


@dataclass(frozen=True)
class JUnitTotals:
    """The totals of a run, counted from its cases. ``failed_names`` are the first tests that failed.

    A suite that claims more failures than its cases show is believed; one that claims fewer is not.
    """

    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    failed_names: tuple[str, ...] = ()

    @property
    def failed(self) -> int:
        return self.failures + self.errors

    @property
    def executed(self) -> int:
        """The tests that were not skipped."""
        return max(0, self.tests - self.skipped)

    def __str__(self) -> str:
        tests = "1 test" if self.tests == 1 else f"{self.tests} tests"
        others = (f"{count} {name}" for count, name in ((self.failed, "failed"), (self.skipped, "skipped")) if count)
        return ", ".join((tests, *others))

    def __add__(self, other: JUnitTotals) -> JUnitTotals:
        return JUnitTotals(
            self.tests + other.tests,
            self.failures + other.failures,
            self.errors + other.errors,
            self.skipped + other.skipped,
            (self.failed_names + other.failed_names)[:MAX_NAMES],
        )


def read_junit(content: bytes, name: str = "junit.xml") -> JUnitTotals:
    """Return the totals of one JUnit document.

    Raises :class:`~kiro_worker.runner.gate.report_files.Unreadable` if it is not JUnit XML.
    """
    root: Any = parse_xml(content, name)
    try:
        return sum(map(_suite_totals, _children(JUnitXml.fromroot(root), TestSuite)), JUnitTotals())
    except (JUnitXmlError, ValueError, TypeError, AttributeError) as error:
        raise Unreadable(f"{name} is not a JUnit report: {error}") from None


def _suite_totals(suite: TestSuite) -> JUnitTotals:
    # Iterating over a suite would yield the cases of its nested suites as well.
    counted = sum(map(_suite_totals, _children(suite, TestSuite)), _case_totals(_children(suite, TestCase)))
    return JUnitTotals(
        max(counted.tests, _claimed(suite, "tests")),
        max(counted.failures, _claimed(suite, "failures")),
        max(counted.errors, _claimed(suite, "errors")),
        # Not the larger number: a suite could hide tests that ran by claiming more skipped ones than it shows.
        counted.skipped if counted.tests else _claimed(suite, "skipped"),
        counted.failed_names,
    )


def _children(parent: Any, kind: type[_Kind]) -> Iterator[_Kind]:
    found: Iterator[_Kind] = parent.iterchildren(kind)
    return found


def _case_totals(cases: Iterable[TestCase]) -> JUnitTotals:
    tests = failures = errors = skipped = 0
    names: list[str] = []
    for case in cases:
        kinds = {type(entry) for entry in case.result}
        tests += 1
        errors += Error in kinds
        failures += Failure in kinds and Error not in kinds
        skipped += Skipped in kinds and not kinds & {Error, Failure}
        if kinds & {Error, Failure} and len(names) < MAX_NAMES:
            name = ".".join(filter(None, (case.classname, case.name)))[:MAX_NAME_LENGTH]
            names.append(name or "an unnamed test")
    return JUnitTotals(tests, failures, errors, skipped, tuple(names))


def _claimed(suite: TestSuite, attribute: str) -> int:
    text = suite._elem.get(attribute, "")  # noqa: SLF001  # junitparser's own accessors raise if it is not a number
    return int(text) if text.isdecimal() and len(text) < 10 else 0
