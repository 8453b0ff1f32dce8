"""The verdict on all checks of a commit, and what its report says about them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.records.summaries import GATE_NOTES, GateNote
from kiro_worker.runner.gate.coverage.formats import as_cobertura
from kiro_worker.runner.gate.coverage.model import merged
from kiro_worker.runner.sandbox.printable import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kiro_worker.config.settings import Check
    from kiro_worker.runner.gate.coverage.model import Coverage
    from kiro_worker.runner.gate.gate import Verdict
    from kiro_worker.runner.gate.result import GateResult

_MOST_SHOWN: Final = 10
_LONGEST_DETAILS: Final = 8_000


def stop_of(checks: Sequence[Check], verdicts: Sequence[Verdict]) -> BuildStopped | None:
    """Return why the checks stop the build; ``None`` if all pass. Failed tests come before missing coverage."""
    named_stops = [
        named(verdict.stop, check.name if len(checks) > 1 else "")
        for check, verdict in zip(checks, verdicts, strict=True)
        if verdict.stop
    ]
    named_stops.sort(key=lambda stop: stop.outcome is Outcome.COVERAGE_BELOW_THRESHOLD)
    if len(named_stops) < 2:
        return named_stops[0] if named_stops else None
    first = named_stops[0]
    reason = "; ".join(stop.reason for stop in named_stops)
    share = _LONGEST_DETAILS // len(named_stops)
    details = "\n".join(stop.details[-share:] for stop in named_stops if stop.details)
    return BuildStopped(first.outcome, reason, first.remedy, details, first.owner)


def named(stop: BuildStopped, check: str) -> BuildStopped:
    """Return ``stop`` with the name of the check; unchanged if that is empty."""
    if not check:
        return stop
    details = f"{check}:\n{stop.details}" if stop.details else ""
    return BuildStopped(stop.outcome, f"{check}: {stop.reason}", stop.remedy, details, stop.owner, stop.error)


def summaries_of(results: Sequence[GateResult]) -> tuple[str, str]:
    """Return the summaries of the tests and of their coverage, with the names of the checks if there are several."""
    if len(results) == 1:
        return results[0].summary, results[0].coverage_line or _not_measured(results[0])
    tests = "; ".join(f"{result.check}: {result.summary}" for result in results)
    lines = ((result.check, result.coverage_line or _not_measured(result)) for result in results)
    return tests, "; ".join(f"{check}: {line}" for check, line in lines if line)


def _not_measured(result: GateResult) -> str:
    return "not measured" if result.not_measured else ""


def gate_document(results: Sequence[GateResult]) -> dict[str, Any]:
    """Return ``gate`` of ``result.json``."""
    return {"passed": all(result.passed for result in results), "checks": [result.to_dict() for result in results]}


def notes_of(results: Sequence[GateResult]) -> tuple[GateNote, ...]:
    """Return what reviewers have to know about the tests besides the verdict."""
    return tuple(_notes(results))


def _notes(results: Sequence[GateResult]) -> Iterator[GateNote]:
    for kind in GATE_NOTES:
        found = [
            _named(result.check if len(results) > 1 else "", names)
            for result in results
            if (names := _names_for(kind, result))
        ]
        if found:
            yield GateNote(kind, "; ".join(found))


def _names_for(kind: str, result: GateResult) -> Sequence[str]:
    not_measured = (result.not_measured,) if result.not_measured else ()
    return {
        "notMeasured": not_measured,
        "excused": result.excused,
        "flaky": result.flaky,
        "vanished": result.vanished,
    }[kind]


def _named(check: str, names: Sequence[str]) -> str:
    return f"{check}: {listed(names, str, _MOST_SHOWN)}" if check else listed(names, str, _MOST_SHOWN)


def joined_coverage(checks: Sequence[Check], results: Iterable[GateResult]) -> bytes | None:
    """Return the coverage of all checks as one Cobertura document, with paths relative to the repository."""
    found: list[Coverage] = []
    for check, result in zip(checks, results, strict=True):
        if result.coverage and result.coverage.by_line is not None:
            start = f"{check.directory}/" if check.directory else ""
            by_line = {
                path if path.startswith("/") else f"{start}{path}": lines
                for path, lines in result.coverage.by_line.items()
            }
            found.append(replace(result.coverage, by_line=by_line))
    joined = merged(found)
    return as_cobertura(joined) if joined else None
