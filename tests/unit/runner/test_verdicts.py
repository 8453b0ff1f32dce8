"""The verdict on several checks."""

from __future__ import annotations

from kiro_worker.config.settings import Check
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.records.summaries import GateNote
from kiro_worker.runner.gate.coverage.model import Coverage, Ratio
from kiro_worker.runner.gate.gate import Verdict
from kiro_worker.runner.gate.result import GateResult
from kiro_worker.runner.gate.verdicts import joined_coverage, notes_of, stop_of, summaries_of

CHECKS = (Check("api", "services/api"), Check("web", "web"))


def verdict(check: str, outcome: Outcome | None, reason: str = "") -> Verdict:
    stop = BuildStopped(outcome, reason, "fix it", f"output of {check}") if outcome else None
    return Verdict(GateResult((), "1 test", check=check), stop)


def test_all_checks_have_to_pass() -> None:
    assert stop_of(CHECKS, [verdict("api", None), verdict("web", None)]) is None

    [stop] = [stop_of(CHECKS, [verdict("api", None), verdict("web", Outcome.TESTS_FAILED, "red")])]
    assert stop
    assert (stop.outcome, stop.reason, stop.details) == (Outcome.TESTS_FAILED, "web: red", "web:\noutput of web")


def test_failed_tests_come_before_coverage() -> None:
    coverage = verdict("api", Outcome.COVERAGE_BELOW_THRESHOLD, "low")
    stop = stop_of(CHECKS, [coverage, verdict("web", Outcome.TESTS_FAILED, "red")])

    assert stop
    assert (stop.outcome, stop.reason) == (Outcome.TESTS_FAILED, "web: red; api: low")


def test_only_check_is_not_named() -> None:
    stop = stop_of(CHECKS[:1], [verdict("api", Outcome.TESTS_FAILED, "red")])

    assert stop
    assert stop.reason == "red"
    assert summaries_of([GateResult((), "1 test", not_measured="no report")]) == ("1 test", "not measured")


def test_several_checks_are_named() -> None:
    results = [
        GateResult((), "1 test", check="api", flaky=("a.b",), not_measured="no report"),
        GateResult((), "2 tests", check="web", flaky=tuple("abcdefghijklmno")),
    ]

    assert summaries_of(results) == ("api: 1 test; web: 2 tests", "api: not measured")
    assert notes_of(results) == (
        GateNote("notMeasured", "api: no report"),
        GateNote("flaky", "api: a.b; web: a, b, c, d, e, f, g, h, i, j and 5 more"),
    )


def test_joined_coverage_has_paths_of_the_repository() -> None:
    results = [
        GateResult((), "", coverage=Coverage("lcov", Ratio(1, 1), by_line={path: {1: True}}))
        for path in ("shop/a.py", "/abs/b.py")
    ]

    document = joined_coverage(CHECKS, results)

    assert document
    assert b'filename="services/api/shop/a.py"' in document
    assert b'filename="/abs/b.py"' in document
    assert joined_coverage(CHECKS, [GateResult((), "")] * 2) is None
