"""Run the tests before the agent starts, and decide whether it may.

With ``known``, failures that a report names are remembered, and do not count later. Nothing is excused that the
baseline cannot name, so a red run without names stops the build, as every red run does with ``green``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate.baseline import Baseline, compare, names_of
from kiro_worker.runner.gate.coverage.product import is_test_file
from kiro_worker.runner.gate.gate import Work, failed_tests, flaky_tests, shown_failures
from kiro_worker.runner.gate.run import NO_COMMAND, NoTestCommand, find_test_command, prepare_command, run_tests
from kiro_worker.runner.sandbox.printable import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kiro_worker.config.settings import Baseline as Mode
    from kiro_worker.config.settings import Check
    from kiro_worker.records.summaries import FailedTest
    from kiro_worker.runner.gate.branch_tests import BranchTests
    from kiro_worker.runner.gate.cases import Identity
    from kiro_worker.runner.gate.run import Place, Run

_BEFORE: Final = "before the agent starts"
_FIX_START: Final = (
    "install what the test command needs with setup, or correct test in .kiro-worker.yml on the default branch,"
    " then redrive the execution"
)
_FIX_RED: Final = (
    "fix the tests on the branch or on the default branch, then redrive the execution. Or set baseline in"
    " .kiro-worker.yml: with known, failures that a JUnit report names do not count; with off, no test runs before the"
    " agent"
)
_ADD_TESTS: Final = "add a test, or set baseline: known in .kiro-worker.yml, which lets the agent add the first one"


@dataclass(frozen=True)
class Taken:
    """The baseline, and why the agent must not start (TestsAlreadyFailing). ``failed`` are the tests that stop it."""

    baseline: Baseline
    stop: BuildStopped | None = None
    failed: tuple[FailedTest, ...] = ()


def take_baseline(check: Check, place: Place, mode: Mode, tests: BranchTests, changed: Collection[str] = ()) -> Taken:
    """Run the tests of ``check`` on the pinned commit, and return what they show.

    ``tests`` and ``changed`` are those of the branch.
    """
    try:
        words = find_test_command(check, place.folder)
    except NoTestCommand as stop:
        if mode == "green":
            return _already(stop.reason, stop.remedy)
        place.log(f"{stop.reason}: the work has to add tests")
        return Taken(Baseline(problem="there was no test command", summary=NO_COMMAND))
    try:
        run = run_tests(check, prepare_command(check, words, place, keeps_going=True), place)
    except BuildStopped as stop:
        return _already(f"{stop.reason}, {_BEFORE}", _FIX_START)
    summary = run.evidence.summary
    if run.failure is None:
        return Taken(Baseline(run.facts, summary=summary))
    if problem := run.start_problem:
        return _already(place.redact(problem), _FIX_START, run.finished.last_lines(), summary)
    if run.ran_no_test and not run.says_no_test_ran and tests.has_test_files:
        # The gate would reject every work.
        return _already(f"{run.failure.reason}, {_BEFORE}", run.failure.remedy, run.finished.last_lines(), summary)
    if run.ran_no_test:
        if mode == "green":
            return _already(f"no test runs {_BEFORE} ({summary})", _ADD_TESTS, run.finished.last_lines(), summary)
        place.log(f"no test ran ({summary}): the work has to add tests")
        return Taken(Baseline(problem="no test ran", summary=summary))
    return _red(check, run, place, mode, tests, changed)


def _red(check: Check, run: Run, place: Place, mode: Mode, tests: BranchTests, changed: Collection[str]) -> Taken:
    facts, summary = run.facts, run.evidence.summary
    found = compare(facts, None, None)
    flaky = flaky_tests(check, run, found, place, Work())
    failing = [each for each in found.new if each not in flaky]
    if facts.is_explained and not failing:
        return Taken(Baseline(facts, frozenset(flaky), summary=summary))
    if mode == "green":
        return _stop(run, failing, place)
    if facts.is_explained:
        return Taken(Baseline(facts, frozenset(flaky), summary=summary))
    is_complete = run.exit_code is not None and not facts.cases.unnamed_failures
    if is_complete and failing and all(map(tests.must_pass, failing)):
        place.log("only tests of the branch fail, so that no other test could run: they have to pass at the end")
        return Taken(Baseline(facts, problem="other tests could not run", summary=summary))
    if is_complete and not failing and not run.summaries.counts.failed and (names := _named_files(run, changed)):
        place.log(f"tests of the branch cannot be compiled yet: {', '.join(names[:10])}")
        return Taken(Baseline(problem="tests of the branch could not be compiled", summary=summary))
    return _stop(run, failing, place)


def _named_files(run: Run, changed: Collection[str]) -> list[str]:
    """Return the test files of the branch that the output names, as a compiler names the file with an error."""
    output = "\n".join(run.finished.lines)
    return sorted(path for path in changed if is_test_file(path) and PurePosixPath(path).name in output)


def _stop(run: Run, failing: Sequence[Identity], place: Place) -> Taken:
    failed = failed_tests(failing, run, place)
    details = "\n".join(filter(None, (shown_failures(failed), run.finished.last_lines())))
    if failing and run.facts.is_explained:
        count = "1 test fails" if len(failing) == 1 else f"{len(failing)} tests fail"
        reason = f"{count} already, {_BEFORE}: {listed(names_of(failing), str, 5)}"
    else:
        why = run.failure.reason if run.failure else ""
        reason = f"the tests fail already, {_BEFORE}, and no report shows that nothing but known tests failed: {why}"
    taken = _already(place.redact(reason), _FIX_RED, details, run.evidence.summary)
    return replace(taken, baseline=replace(taken.baseline, facts=run.facts), failed=failed)


def _already(reason: str, remedy: str, details: str = "", summary: str = "") -> Taken:
    stop = BuildStopped(Outcome.TESTS_ALREADY_FAILING, reason, remedy, details)
    return Taken(Baseline(problem=reason, summary=summary), stop)
