"""The gate: the project's own tests, and how much of the code they ran, decide whether the work may be pushed.

:mod:`kiro_worker.runner.gate.evidence` decides what a run proves, and :mod:`kiro_worker.runner.gate.baseline` which of
its failures do not count.
"""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.records.summaries import FailedTest
from kiro_worker.runner.gate.baseline import MOST_NAMES, compare, names_of
from kiro_worker.runner.gate.coverage.diff import changed_lines_coverage
from kiro_worker.runner.gate.rerun import run_again
from kiro_worker.runner.gate.result import GateResult
from kiro_worker.runner.gate.run import altered_by, find_test_command, prepare_command, run_tests
from kiro_worker.runner.gate.threshold import coverage_problem, with_coverage_note
from kiro_worker.runner.sandbox.printable import listed, printable, printable_document

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kiro_worker.config.settings import Check
    from kiro_worker.runner.gate.baseline import Baseline, Comparison
    from kiro_worker.runner.gate.branch_tests import BranchTests
    from kiro_worker.runner.gate.cases import Identity
    from kiro_worker.runner.gate.run import Place, Run

GATE_FILE: Final = "gate.json"
MOST_RUN_AGAIN: Final = 10
"""How many failed tests are run again. More of them are no coincidence."""
_LONGEST_COMMAND: Final = 300
_MOST_SHOWN: Final = 10
_SHOWN_LINES: Final = 6
_LONGEST_SHOWN_LINE: Final = 300

_KEEP_TESTS: Final = "keep these tests on the branch, and have them pass: they describe the work"


@dataclass(frozen=True)
class Work:
    """The work that the gate measures.

    ``patch`` is its change, and ``changed`` are all files that it or the branch changes. ``tests`` are the branch's
    own; without them, no failure is excused. ``elsewhere`` are the folders of other checks. ``ecosystem`` is that of
    the pinned commit, if it was detected.
    """

    patch: bytes = b""
    changed: Sequence[str] = ()
    tests: BranchTests | None = None
    baseline: Baseline | None = None
    elsewhere: Sequence[str] = ()
    ecosystem: str = ""


@dataclass(frozen=True)
class Verdict:
    """The result of one check, and why it stops the build; ``None`` if it passes.

    ``is_new`` means that the work made it fail. It is false if only tests fail that failed before, too, and that cannot
    be excused.
    """

    result: GateResult
    stop: BuildStopped | None
    is_new: bool = True


def run_gate(check: Check, place: Place, work: Work | None = None, keep: Path | None = None) -> GateResult:
    """Run the tests of ``check``, and return the result if they pass. Raises the stop of :func:`judge`."""
    verdict = judge(check, place, work or Work(), keep)
    if verdict.stop:
        raise verdict.stop
    return verdict.result


def judge(check: Check, place: Place, work: Work, keep: Path | None = None) -> Verdict:
    """Run the tests of ``check``, and return what they show.

    The reports and ``gate.json`` are copied to ``keep``, even if the run does not pass. The stop is TestsFailed if a
    test fails that counts, if none ran, or if there is no test command; CoverageBelowThreshold if coverage is too low,
    or cannot be measured although a threshold is configured.
    """
    try:
        words = find_test_command(check, place.folder, preferred=work.ecosystem)
        command = prepare_command(check, words, place, keeps_going=work.baseline is not None)
        run = run_tests(check, command, place)
    except BuildStopped as not_run:
        return Verdict(GateResult(check.test or (), not_run.reason, check=check.name), not_run)
    found = compare(run.facts, work.baseline, work.tests, work.changed)
    flaky = () if found.missing else flaky_tests(check, run, found, place, work)
    new = tuple(each for each in found.new if each not in flaky)
    is_tolerated = run.facts.is_explained and not new and not found.problem
    failure = None if is_tolerated else run.failure
    counted = () if is_tolerated or not run.failure else new or found.excused
    if failure or found.missing:
        failure = _stop(failure, run, found, counted, place)
    result = _result(check, run, found, flaky, counted or found.missing, place, work, passed=failure is None)
    stop = _with_command(failure, words, place) if failure else coverage_problem(result, check.coverage)
    result = with_coverage_note(result, check.coverage)
    if keep:
        _keep(result, run, keep, place)
    if altered := result.changed_by_tests:
        place.log(f"the tests changed {len(altered)} files of the checkout: {', '.join(altered[:10])}")
    is_new = bool(new or found.missing or not found.excused or not failure)
    return Verdict(result, stop, is_new)


def flaky_tests(check: Check, run: Run, found: Comparison, place: Place, work: Work) -> tuple[Identity, ...]:
    """Run the tests whose failures would count again, once, and return those that pass then.

    Nothing that the first run left helps them.

    Without names, or if anything but tests failed, no second run could show what the first one did.
    """
    if not run.facts.is_explained or found.problem or not 0 < len(found.new) <= MOST_RUN_AGAIN:
        return ()
    place.log(f"{len(found.new)} tests failed: they are run again, once")
    try:
        second = run_again(check, run.command, place)
    except BuildStopped:
        return ()
    facts = second.facts
    if second.failure and not facts.is_explained:
        return ()
    others = compare(facts, work.baseline, work.tests).new
    if any(each not in found.new for each in others):
        return ()
    return tuple(each for each in found.new if facts.cases.passed(each))


def _stop(
    failure: BuildStopped | None, run: Run, found: Comparison, counted: Sequence[Identity], place: Place
) -> BuildStopped:
    """Return the stop for a run with failures that count, or without tests that have to run."""
    details = place.redact(shown_failures(failed_tests(counted, run, place)))
    details = "\n".join(filter(None, (details, run.finished.last_lines())))
    if found.missing:
        names = listed(names_of(found.missing), str, 5)
        reason = f"tests of the branch that failed before the agent started did not run, or were skipped: {names}"
        return BuildStopped(Outcome.TESTS_FAILED, place.redact(reason), _KEEP_TESTS, details)
    if failure is None:
        raise ValueError("a run without a failure and without missing tests is not stopped")
    reason = run.start_problem or failure.reason
    if found.excused and run.facts.is_explained:
        if found.problem:
            reason = f"{reason}; failures from before the agent started are not excused, because {found.problem}"
        else:
            names = listed(names_of(counted), str, 5)
            tests = "1 test fails that has" if len(counted) == 1 else f"{len(counted)} tests fail that have"
            reason = (
                f"{tests} to pass: {names} (not counted: {len(found.excused)} that failed before the agent started)"
            )
    return BuildStopped(failure.outcome, place.redact(reason), failure.remedy, details)


def failed_tests(identities: Sequence[Identity], run: Run, place: Place) -> tuple[FailedTest, ...]:
    """Return the tests with the last lines of what the report says of each, redacted."""
    texts = (run.reports.cases.texts if run.reports.cases else None) or {}
    shown = identities[:MOST_NAMES]
    return tuple(
        FailedTest(place.redact(name), _end_of(place.redact(texts.get(identity, ""))))
        for identity, name in zip(shown, names_of(shown), strict=True)
    )


def shown_failures(failed: Sequence[FailedTest]) -> str:
    """Return the tests with their last lines, for the prompt and the details of the stop."""
    parts = []
    for test in failed[:_MOST_SHOWN]:
        parts += [test.name, *(f"    {line}" for line in test.said.splitlines())]
    more = len(failed) - _MOST_SHOWN
    return "\n".join([*parts, *([f"and {more} more"] if more > 0 else [])])


def _end_of(text: str) -> str:
    lines = [line.rstrip()[:_LONGEST_SHOWN_LINE] for line in printable(text).splitlines() if line.strip()]
    return "\n".join(lines[-_SHOWN_LINES:])


def _result(
    check: Check,
    run: Run,
    found: Comparison,
    flaky: tuple[Identity, ...],
    counted: Sequence[Identity],
    place: Place,
    work: Work,
    *,
    passed: bool,
) -> GateResult:
    coverage, changed_lines = run.reports.coverage, None
    if coverage and check.coverage.mode == "changed":
        changed_lines = changed_lines_coverage(
            coverage, work.patch, str(place.folder), check.coverage.exclude, check.directory, work.elsewhere
        )
    return GateResult(
        run.command.words,
        _summary(run, found, flaky),
        run.reports.tests,
        coverage,
        changed_lines,
        altered_by(run, place.folder),
        run.reports.notes,
        run.exit_code,
        passed=passed,
        sign=run.evidence.sign,
        check=check.name,
        failed=failed_tests(counted, run, place),
        excused=names_of(found.excused) if passed else (),
        flaky=names_of(flaky),
        vanished=names_of(found.vanished),
    )


def _summary(run: Run, found: Comparison, flaky: Sequence[Identity]) -> str:
    before = f"{len(found.excused)} failed before the agent started, too" if found.excused else ""
    unsure = f"{len(flaky)} flaky" if flaky else ""
    return "; ".join(filter(None, (run.evidence.summary, before, unsure)))


def _with_command(stop: BuildStopped, words: Sequence[str], place: Place) -> BuildStopped:
    """Return ``stop``, whose remedy also names the test command, without the options that ask for reports."""
    command = place.redact(shlex.join(words))[:_LONGEST_COMMAND]
    remedy = f"{stop.remedy}. What ran is the test command {command}"
    return BuildStopped(stop.outcome, stop.reason, remedy, stop.details, stop.owner)


def _keep(result: GateResult, run: Run, target: Path, place: Place) -> None:
    """Replace what an earlier run left in ``target`` by the reports and the result, redacted."""
    shutil.rmtree(target, ignore_errors=True)
    run.reports.copy_to(target, place.redact)
    target.mkdir(parents=True, exist_ok=True)
    text = json.dumps(printable_document(result.to_dict()), indent=2, ensure_ascii=False)
    (target / GATE_FILE).write_text(place.redact(text), "utf-8")
