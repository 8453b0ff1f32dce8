"""Whether the coverage that the gate measured is enough."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate.reports import COVERAGE

if TYPE_CHECKING:
    from kiro_worker.config.settings import CoverageSettings
    from kiro_worker.runner.gate.result import GateResult

_COVERAGE_REMEDY: Final = (
    "have the tests write one of the usual reports, name it in coverage.report, or set coverage.threshold: null"
    " in .kiro-worker.yml to turn the check off"
)


def with_coverage_note(result: GateResult, settings: CoverageSettings) -> GateResult:
    """Return the result with why the default threshold was not applied, if it was not."""
    if not settings.is_default or settings.threshold is None or not result.passed:
        return result
    return replace(result, not_measured=_why_not_measured(result, settings))


def coverage_problem(result: GateResult, settings: CoverageSettings) -> BuildStopped | None:
    """Return CoverageBelowThreshold if coverage is too low, or if a configured threshold cannot be applied."""
    threshold, coverage = settings.threshold, result.coverage
    if threshold is None:
        return None
    required = f"coverage.threshold is {threshold:g}%" + (", its default" if settings.is_default else "")
    if missing := _why_not_measured(result, settings):
        if settings.is_default:
            return None
        return _coverage_error(f"coverage cannot be measured: {missing}, and {required}")
    if settings.mode == "changed":
        changed = result.changed_lines
        if changed and changed.total and not changed.meets(threshold):
            return _coverage_error(f"coverage of the changed lines is {changed}, and {required}", "add tests")
    elif coverage and not coverage.lines.meets(threshold):
        return _coverage_error(f"coverage is {coverage}, and {required} of the lines", "add tests")
    return None


def _why_not_measured(result: GateResult, settings: CoverageSettings) -> str:
    """Return why the threshold cannot be applied; empty if it can."""
    coverage = result.coverage
    if coverage is None:
        named = settings.report
        missing = f"{named} is missing or old" if named else "the tests wrote no coverage report"
        return "; ".join(result.notes.get(COVERAGE, ())) or missing
    if settings.mode == "changed":
        if coverage.by_line is None:
            return f"a {coverage.format} report does not contain the coverage of individual lines"
        return "" if result.changed_lines is not None else "the report contains none of the changed files"
    return "" if coverage.lines.total else "the report contains no lines of product code"


def _coverage_error(reason: str, remedy: str = _COVERAGE_REMEDY) -> BuildStopped:
    return BuildStopped(Outcome.COVERAGE_BELOW_THRESHOLD, reason, remedy)
