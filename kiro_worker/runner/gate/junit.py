"""What JUnit XML says of a test run: how many ran, failed and were skipped, and which failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from junitparser import Error, Failure, JUnitXml, JUnitXmlError, Skipped, TestCase, TestSuite

from kiro_worker.runner.gate.report_files import Unreadable, xml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PATTERNS: Final = (
    *("junit*.xml", "*junit.xml", "*-junit-*.xml", "TEST-*.xml", "pytest.xml", "test-results.xml", "test-report.xml"),
    *("surefire-reports/*.xml", "failsafe-reports/*.xml", "test-results/*.xml", "junit/*.xml", "test-reports/*.xml"),
)
"""Where pytest, jest-junit, mocha-junit-reporter, vitest, gotestsum, nextest, Surefire, Failsafe and Gradle put it."""

_Kind = TypeVar("_Kind")

MOST_NAMES: Final = 20
LONGEST_NAME: Final = 200


@dataclass(frozen=True)
class JUnitTotals:
    """Counted from the cases themselves, and from what the suites claim where that is more: a suite that claims more
    failures than it shows is believed, one that claims fewer is not. ``failed_names`` are the first of them.
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
        """The tests that really ran."""
        return max(0, self.tests - self.skipped)

    def __str__(self) -> str:
        parts = [f"{self.tests} tests", f"{self.failed} failed", f"{self.skipped} skipped"]
        return ", ".join(part for part in parts if not part.startswith("0 ") or part is parts[0])

    def __add__(self, other: JUnitTotals) -> JUnitTotals:
        return JUnitTotals(
            self.tests + other.tests,
            self.failures + other.failures,
            self.errors + other.errors,
            self.skipped + other.skipped,
            (self.failed_names + other.failed_names)[:MOST_NAMES],
        )


def read_junit(content: bytes, name: str = "junit.xml") -> JUnitTotals:
    """The totals of one document. Raises :class:`~kiro_worker.runner.gate.report_files.Unreadable` when it is not JUnit."""
    root: Any = xml(content, name)
    try:
        return sum(map(_of_suite, _children(JUnitXml.fromroot(root), TestSuite)), JUnitTotals())
    except (JUnitXmlError, ValueError, TypeError, AttributeError) as error:
        raise Unreadable(f"{name} is no JUnit report: {error}") from None


def _of_suite(suite: TestSuite) -> JUnitTotals:
    # Iterating over a suite itself gives the cases of those inside it, too.
    seen = sum(map(_of_suite, _children(suite, TestSuite)), _of_cases(_children(suite, TestCase)))
    return JUnitTotals(
        max(seen.tests, _claimed(suite, "tests")),
        max(seen.failures, _claimed(suite, "failures")),
        max(seen.errors, _claimed(suite, "errors")),
        # Not the claim: a suite that shows its cases and claims more skipped than it shows would hide what ran.
        seen.skipped if seen.tests else _claimed(suite, "skipped"),
        seen.failed_names,
    )


def _children(parent: Any, kind: type[_Kind]) -> Iterator[_Kind]:
    found: Iterator[_Kind] = parent.iterchildren(kind)
    return found


def _of_cases(cases: Iterable[TestCase]) -> JUnitTotals:
    tests = failures = errors = skipped = 0
    names: list[str] = []
    for case in cases:
        kinds = {type(entry) for entry in case.result}
        tests += 1
        errors += Error in kinds
        failures += Failure in kinds and Error not in kinds
        skipped += Skipped in kinds and not kinds & {Error, Failure}
        if kinds & {Error, Failure} and len(names) < MOST_NAMES:
            names.append(".".join(filter(None, (case.classname, case.name)))[:LONGEST_NAME] or "a test without a name")
    return JUnitTotals(tests, failures, errors, skipped, tuple(names))


def _claimed(suite: TestSuite, attribute: str) -> int:
    text = suite._elem.get(attribute, "")  # noqa: SLF001  # junitparser's own reading raises for what is no number
    return int(text) if text.isdecimal() and len(text) < 10 else 0
