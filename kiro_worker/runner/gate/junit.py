"""What JUnit XML says of a test run: how many tests ran, failed and were skipped, and the result of each of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from junitparser import Error, Failure, JUnitXml, JUnitXmlError, Skipped, TestCase, TestSuite

from kiro_worker.runner.gate.cases import ERROR, FAILURE, PASSED, SKIPPED, CaseResult, CaseResults, Identity
from kiro_worker.runner.gate.report_files import Unreadable, parse_xml, unreadable_on_error

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

PATTERNS: Final = (
    *("junit*.xml", "*junit.xml", "*-junit-*.xml", "TEST-*.xml", "pytest.xml", "test-results.xml", "test-report.xml"),
    *("surefire-reports/*.xml", "failsafe-reports/*.xml", "test-results/*.xml", "junit/*.xml", "test-reports/*.xml"),
)
"""Where pytest, jest-junit, mocha-junit-reporter, vitest, gotestsum, nextest, Surefire, Failsafe and Gradle write."""

_Kind = TypeVar("_Kind")

Case = tuple[str, str, str]
"""The class, the name and the result of a test."""

_RESULTS: Final[Mapping[type, str]] = {Error: ERROR, Failure: FAILURE, Skipped: SKIPPED}
"""In this order, if a case has several."""
_NOT_RUN: Final = frozenset(("notrun", "disabled", "skipped", "ignored", "suppressed"))
"""How GoogleTest and CTest mark a test that did not run, in the attributes "status" and "result"."""
MAX_NAMES: Final = 20
MAX_NAME_LENGTH: Final = 200
LONGEST_TEXT: Final = 4_000
"""How much of what a case says about its failure is kept, from its end."""


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


@dataclass(frozen=True)
class Suite:
    """A suite of a JUnit document, nested suites included.

    ``cases`` has the class, name and result of every case, and ``results`` also its file and what it printed. Two
    suites are the same if they differ in nothing but times, order and the suites' names.
    """

    totals: JUnitTotals
    cases: tuple[Case, ...] = field(default=(), repr=False)
    results: tuple[CaseResult, ...] = field(default=(), repr=False)

    @property
    def claimed_beyond_cases(self) -> JUnitTotals:
        """What the suite claims beyond what its cases show."""
        claimed, shown = self.totals, _totals_of(Counter(self.cases), ())
        return JUnitTotals(
            claimed.tests - shown.tests,
            claimed.failures - shown.failures,
            claimed.errors - shown.errors,
            claimed.skipped - shown.skipped,
        )

    @property
    def identity(self) -> Hashable:
        totals = self.totals
        return (self.cases, totals.tests, totals.failures, totals.errors, totals.skipped)


def read_suites(content: bytes, name: str = "junit.xml") -> tuple[Suite, ...]:
    """Return the suites of one JUnit document.

    Raises :class:`~kiro_worker.runner.gate.report_files.Unreadable` if it is not JUnit XML.
    """
    root: Any = parse_xml(content, name)
    with unreadable_on_error(name, "a JUnit report"):
        try:
            suites = tuple(map(_suite, _children(JUnitXml.fromroot(root), TestSuite)))
        except JUnitXmlError as error:
            raise Unreadable(f"{name} is not a JUnit report: {error}") from None
    return suites if root.tag == "testsuite" else (*suites, *_claimed_beyond(suites, root))


def total_of(documents: Iterable[tuple[Suite, ...]]) -> JUnitTotals:
    """Return the totals of a run that wrote ``documents``.

    The same case in another document is the same run of it, reported twice, however each document divides its cases
    into suites. So each case counts as often as in the document that has it most often.
    """
    cases: Counter[Case] = Counter()
    beyond = JUnitTotals()
    names: dict[str, None] = {}
    seen: set[Hashable] = set()
    for suites in documents:
        # A multiset's union: the larger count of each.
        cases |= Counter(case for suite in suites for case in suite.cases)
        for suite in suites:
            names.update(dict.fromkeys(suite.totals.failed_names))
            if not suite.cases or suite.identity not in seen:
                beyond += suite.claimed_beyond_cases
        seen.update(suite.identity for suite in suites)
    counted = _totals_of(cases, tuple(names)[:MAX_NAMES])
    return counted + beyond


def results_of(documents: Iterable[tuple[Suite, ...]]) -> CaseResults:
    """Return the result of each case of a run that wrote ``documents``.

    As in :func:`total_of`, the same case in another document is the same run of it.
    """
    found = list(documents)
    counts: Counter[tuple[Identity, str]] = Counter()
    texts: dict[Identity, str] = {}
    for suites in found:
        cases = [case for suite in suites for case in suite.results]
        counts |= Counter((case.identity, case.result) for case in cases)
        for case in cases:
            if case.text:
                texts.setdefault(case.identity, case.text)
    shown = sum(number for (_, result), number in counts.items() if result in (ERROR, FAILURE))
    results: dict[Identity, Counter[str]] = {}
    for (identity, result), number in counts.items():
        results.setdefault(identity, Counter())[result] += number
    return CaseResults(results, texts, max(0, total_of(found).failed - shown))


def _totals_of(cases: Mapping[Case, int], names: tuple[str, ...]) -> JUnitTotals:
    counts: Counter[str] = Counter()
    for (*_, result), number in cases.items():
        counts[result] += number
    return JUnitTotals(counts.total(), counts[FAILURE], counts[ERROR], counts[SKIPPED], names)


def _joined(suites: Iterable[Suite]) -> Suite:
    found = list(suites)
    cases = sorted(case for suite in found for case in suite.cases)
    results = tuple(result for suite in found for result in suite.results)
    return Suite(sum((suite.totals for suite in found), JUnitTotals()), tuple(cases), results)


def _suite(suite: TestSuite, file: str = "") -> Suite:
    """Return the suite. ``file`` is that of the suite around it, which mocha's reporters name there only."""
    file = suite._elem.get("file") or file  # noqa: SLF001  # junitparser has no accessor for it
    # Iterating over a suite would yield the cases of its nested suites as well.
    nested = (_suite(inner, file) for inner in _children(suite, TestSuite))
    counted = _joined([_own_cases(_children(suite, TestCase), file), *nested])
    totals = JUnitTotals(
        max(counted.totals.tests, _claimed(suite, "tests")),
        max(counted.totals.failures, _claimed(suite, "failures")),
        max(counted.totals.errors, _claimed(suite, "errors")),
        # Not the larger number: a suite could hide tests that ran by claiming more skipped ones than it shows.
        counted.totals.skipped if counted.totals.tests else _claimed(suite, "skipped") + _claimed(suite, "disabled"),
        counted.totals.failed_names,
    )
    return Suite(totals, counted.cases, counted.results)


def _children(parent: Any, kind: type[_Kind]) -> Iterator[_Kind]:
    found: Iterator[_Kind] = parent.iterchildren(kind)
    return found


def _own_cases(cases: Iterable[TestCase], file: str) -> Suite:
    found: list[Case] = []
    results: list[CaseResult] = []
    names: list[str] = []
    for case in cases:
        kinds = {type(entry) for entry in case.result}
        result = next((name for kind, name in _RESULTS.items() if kind in kinds), _result_of_attributes(case))
        found.append((case.classname or "", case.name or "", result))
        identity = Identity(case._elem.get("file") or file, case.classname or "", case.name or "")  # noqa: SLF001
        results.append(CaseResult(identity, result, _text_of(case) if result in (ERROR, FAILURE) else ""))
        if result in (ERROR, FAILURE) and len(names) < MAX_NAMES:
            name = ".".join(filter(None, (case.classname, case.name)))[:MAX_NAME_LENGTH]
            names.append(name or "an unnamed test")
    return Suite(_totals_of(Counter(found), tuple(names)), tuple(sorted(found)), tuple(results))


def _text_of(case: TestCase) -> str:
    """Return what the case says about its failure: the trace if there is one, or else the message."""
    entries = [entry for entry in case.result if isinstance(entry, Error | Failure)]
    return "\n".join(str(entry.text or entry.message or "")[-LONGEST_TEXT:] for entry in entries)


def _result_of_attributes(case: TestCase) -> str:
    attributes = case._elem.attrib  # noqa: SLF001  # junitparser has no accessor for them
    marks = {str(attributes.get(name, "")).lower() for name in ("status", "result")}
    return SKIPPED if marks & _NOT_RUN else PASSED


def _claimed_beyond(suites: Iterable[Suite], root: Any) -> Iterator[Suite]:
    """Yield a suite for the failures that the document's root claims beyond those of its suites."""
    found = sum((suite.totals for suite in suites), JUnitTotals())
    failures, errors = (_number(root.get(name)) for name in ("failures", "errors"))
    if failures + errors > found.failed:
        yield Suite(JUnitTotals(0, failures + errors - found.failed))


def _claimed(suite: TestSuite, attribute: str) -> int:
    return _number(suite._elem.get(attribute))  # noqa: SLF001  # junitparser's accessors raise if it is not a number


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else 0
