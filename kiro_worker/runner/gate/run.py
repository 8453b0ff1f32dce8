"""One run of a check's tests: the command, how it ended, and everything that it shows."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate.baseline import RunFacts
from kiro_worker.runner.gate.cases import CaseResults
from kiro_worker.runner.gate.detect import DetectedCommand, detected_command, with_report_options
from kiro_worker.runner.gate.ecosystems.choose import detect
from kiro_worker.runner.gate.evidence import TIMEOUT_MINUTES, Evidence
from kiro_worker.runner.gate.report_files import files_altered_since, take_snapshot
from kiro_worker.runner.gate.reports import COVERAGE, TESTS, Reports
from kiro_worker.runner.gate.setup import gate_environment
from kiro_worker.runner.gate.summaries.summaries import Summaries
from kiro_worker.runner.sandbox.printable import printable_name
from kiro_worker.runner.sandbox.processes import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from kiro_worker.config.settings import Check
    from kiro_worker.runner.gate.report_files import Signature
    from kiro_worker.runner.sandbox.processes import Finished
    from kiro_worker.runner.sandbox.sandbox import Sandbox

JUNIT_OPTION: Final = "--junitxml="
_ENDED_EARLY: Final = re.compile(
    # pytest -x; jest --bail ("Test Suites: 1 failed, 1 of 3 total"); Maven's summary of a reactor.
    r"^!{3,} .*\bstopping after \d+ failures? !|^Test Suites: .*, \d+ of \d+ total|(?<=\s)\.{3,} SKIPPED\b"
)
_LONGEST_LINE: Final = 1000
_LONGEST_SHOWN: Final = 300
NO_COMMAND: Final = "no test command"
_NO_TESTS: Final = re.compile(
    # jest, vitest, mocha, AVA, unittest, pytest, PHPUnit, RSpec, node --test
    r"no tests? (?:suites? )?(?:files? )?(?:found|ran|executed)|no examples found|couldn't find any files to test"
    r"|no tests collected|could not find '.*test",
    re.IGNORECASE,
)
_CANNOT_EXECUTE: Final = frozenset((126, 127))
"""What a shell reports for a program that is not executable or does not exist."""
_PYTEST_NO_TESTS: Final = 5


@dataclass(frozen=True)
class Place:
    """Where a check's tests run, and what they get. ``folder`` is that of the check, ``home`` is shared by all checks.

    ``temporary`` is the folder for temporary files. ``sink`` gets every line, redacted. While the context of ``anew``
    is open, the folders are as they were before the first run.
    """

    folder: Path
    home: Path
    parent: Mapping[str, str]
    sink: Callable[[str], None]
    redact: Callable[[str], str]
    sandbox: Sandbox | None = None
    temporary: Path | None = None
    anew: Callable[[], AbstractContextManager[object]] = nullcontext

    def log(self, text: str) -> None:
        """Log a line of the worker's own."""
        self.sink(self.redact(text))

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the tests."""
        return gate_environment(self.home, self.parent, self.temporary, self.folder)


class NoTestCommand(BuildStopped):
    """No test command is configured, and none can be detected."""


@dataclass(frozen=True)
class Run:
    """A run that has ended. ``ended_early`` is the line that says that not all tests ran, if there is one."""

    command: DetectedCommand
    finished: Finished
    summaries: Summaries
    reports: Reports
    evidence: Evidence
    failure: BuildStopped | None
    before: Mapping[Path, Signature] = field(repr=False)
    ended_early: str = ""
    misses_report: bool = False

    @property
    def exit_code(self) -> int | None:
        """The exit code; None if the tests were stopped."""
        return None if self.finished.timed_out else self.finished.exit_code

    @property
    def facts(self) -> RunFacts:
        """What another run is compared with."""
        cases = self.reports.cases or CaseResults()
        unreported = max(0, self.summaries.counts.failed - cases.number_of_failures)
        is_explained = self._is_explained(cases)
        return RunFacts(cases, self.exit_code, is_explained, unreported, self.summaries.parts_failed)

    def _is_explained(self, cases: CaseResults) -> bool:
        """Return whether failing cases, and nothing else, can be why the run failed."""
        code = self.exit_code
        if code is None or not 0 <= code < min(_CANNOT_EXECUTE) or not cases.failing or cases.unnamed_failures:
            return False
        if self.evidence.is_detected and is_pytest(self.command.words) and code > 1:
            # Interrupted, an internal error, or wrong usage: https://docs.pytest.org/en/stable/reference/exit-codes.html
            return False
        has_other_failure = bool(self.summaries.failure) and not self.summaries.counts.failed
        is_partial = self.ended_early or self.misses_report or self.summaries.unfinished
        return self.evidence.sign is not None and not has_other_failure and not is_partial

    @property
    def start_problem(self) -> str:
        """Why the shell could not run a program; empty if it could, or if a test ran."""
        if self.exit_code not in _CANNOT_EXECUTE or self._executed:
            return ""
        said = f": {self.finished.lines[-1][:_LONGEST_SHOWN]}" if self.finished.lines else ""
        return f"the test command cannot be started (exit code {self.exit_code}){said}"

    @property
    def ran_no_test(self) -> bool:
        """Whether the tool says that there is no test, and nothing else failed."""
        cases = self.reports.cases or CaseResults()
        if self._executed or self.finished.timed_out or cases.failing or cases.unnamed_failures:
            return False
        if self.finished.succeeded or (self.exit_code == _PYTEST_NO_TESTS and self._says_no_tests):
            return not self.summaries.counts.failed
        return self.exit_code == 1 and self._says_no_tests

    @property
    def says_no_test_ran(self) -> bool:
        """Whether the run itself says so, and does not only fail to show a test."""
        return self.summaries.found or self.reports.tests is not None or self._says_no_tests

    @property
    def _executed(self) -> int:
        tests = self.reports.tests
        return max(tests.executed if tests else 0, self.summaries.counts.executed)

    @property
    def _says_no_tests(self) -> bool:
        return any(_NO_TESTS.search(line[:_LONGEST_LINE]) for line in self.finished.lines)


def find_test_command(check: Check, folder: Path, *, is_set_up: bool = True, preferred: str = "") -> tuple[str, ...]:
    """Return the configured test command, or else the one that the files in ``folder`` suggest.

    ``preferred`` is the ecosystem of the pinned commit.

    Raises :class:`NoTestCommand` if there is neither.
    """
    if command := check.test or detected_command(folder, is_set_up=is_set_up, preferred=preferred):
        return command
    problem = detect(folder).problem or "none is configured, and none can be detected from the files of the repository"
    first = problem.partition("\n")[0]
    raise NoTestCommand(
        Outcome.TESTS_FAILED,
        f"{NO_COMMAND}: {first}",
        "write the command into .kiro-worker.yml on the default branch, for example test: make test",
        problem if problem != first else "",
    )


def prepare_command(
    check: Check, found: tuple[str, ...], place: Place, *, keeps_going: bool = False
) -> DetectedCommand:
    """Return the command to run. A detected one gets options for reports, and with ``keeps_going`` for a full run."""
    place.home.mkdir(parents=True, exist_ok=True)
    if check.test:
        return DetectedCommand(found)
    command = with_report_options(found, place.folder, place.home, place.environment, place.sandbox)
    return replace(command, words=full_run(command.words)) if keeps_going else command


def run_tests(check: Check, command: DetectedCommand, place: Place) -> Run:
    """Run the tests. Raises :class:`BuildStopped` (TestsFailed) if the command cannot be started."""
    before = take_snapshot(place.folder, place.home)
    for line in (*command.notes, f"$ {' '.join(command.words)}"):
        place.log(line)
    summaries, early = Summaries(), [""]

    def watch(line: str) -> None:
        summaries.read(line)
        if len(line) <= _LONGEST_LINE and _ENDED_EARLY.search(line):
            early[0] = early[0] or line
        place.sink(line)

    finished = _stream(command.words, place, watch)
    reports = Reports.written_since(before, check.coverage, place.folder, place.home, place.log)
    reports = reports.with_notes(COVERAGE, command.notes)
    evidence = Evidence(finished, summaries, reports.tests, not check.test, command.tools)
    missing = _missing_report(command.words, reports)
    failure = evidence.failure(missing, require_report=check.require_report)
    return Run(command, finished, summaries, reports, evidence, failure, before, early[0], bool(missing))


def altered_by(run: Run, folder: Path) -> tuple[str, ...]:
    """Return the files of the checkout that the run changed or removed, other than its reports."""
    return tuple(map(printable_name, files_altered_since(run.before, folder, except_for=run.reports.contents)))


def is_pytest(words: Sequence[str]) -> bool:
    """Return whether the words start pytest itself."""
    return any(word.rpartition("/")[2] == "pytest" for word in words)


def full_run(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a detected command that runs the tests after a failing one, too.

    A failure that does not count would otherwise hide those that do.
    """
    if is_pytest(words):
        return (*words, "--maxfail=0", "--continue-on-collection-errors")
    program = words[0].rpartition("/")[2] if words else ""
    if program in ("mvn", "mvnw") or words[:2] == ("sh", "mvnw"):
        return (*words, "-fae")
    if program in ("gradle", "gradlew") or words[:2] == ("sh", "gradlew"):
        return (*words, "--continue")
    if words[:2] == ("cargo", "test"):
        return (*words[:2], "--no-fail-fast", *words[2:])
    return words


def asks_for_junit(word: str) -> bool:
    """Return whether the word of a command is pytest's option for a JUnit report."""
    return word.startswith(JUNIT_OPTION)


def _missing_report(command: Sequence[str], reports: Reports) -> str:
    """Return why a report is missing that the command was asked for; empty if it was asked for none."""
    asked = [Path(word.removeprefix(JUNIT_OPTION)) for word in command if asks_for_junit(word)]
    if all(path in reports.contents for path in asked):
        return ""
    return "; ".join(reports.notes.get(TESTS, ())) or "did not write the requested JUnit report"


def _stream(words: tuple[str, ...], place: Place, watch: Callable[[str], None]) -> Finished:
    try:
        return stream(
            words,
            cwd=place.folder,
            environment=place.environment,
            timeout_seconds=TIMEOUT_MINUTES * 60.0,
            sink=watch,
            redact=place.redact,
            sandbox=place.sandbox,
        )
    except OSError as error:
        raise BuildStopped(
            Outcome.TESTS_FAILED,
            f"{words[0]} cannot be started: {error.strerror}",
            "install it in the build image, or correct test in .kiro-worker.yml",
        ) from None
