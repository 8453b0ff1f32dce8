"""The gate: the project's own tests, and how much of the code they ran, decide whether the work may be pushed.

:mod:`kiro_worker.runner.gate.evidence` decides what a run proves.
"""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.document import camel_case
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate.coverage.diff import changed_lines_coverage
from kiro_worker.runner.gate.detect import DetectedCommand, detected_command, with_report_options
from kiro_worker.runner.gate.ecosystems.choose import detect
from kiro_worker.runner.gate.evidence import TIMEOUT_MINUTES, Evidence
from kiro_worker.runner.gate.report_files import files_altered_since, take_snapshot
from kiro_worker.runner.gate.reports import COVERAGE, TESTS, Reports
from kiro_worker.runner.gate.setup import gate_environment
from kiro_worker.runner.gate.summaries.summaries import Summaries
from kiro_worker.runner.sandbox.printable import printable_document, printable_name
from kiro_worker.runner.sandbox.processes import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kiro_worker.config.settings import Check, CoverageSettings
    from kiro_worker.runner.gate.coverage.model import Coverage, Ratio
    from kiro_worker.runner.gate.evidence import Sign
    from kiro_worker.runner.gate.junit import JUnitTotals
    from kiro_worker.runner.sandbox.processes import Finished
    from kiro_worker.runner.sandbox.sandbox import Sandbox

GATE_FILE: Final = "gate.json"
_LONGEST_COMMAND: Final = 300

_JUNIT_OPTION: Final = "--junitxml="
_COVERAGE_REMEDY: Final = (
    "have the tests write one of the usual reports, name it in coverage.report, or set coverage.threshold: null"
    " in .kiro-worker.yml to turn the check off"
)


@dataclass(frozen=True)
class GateResult:
    """What the gate measured.

    ``exit_code`` is ``None`` if the tests were stopped. ``passed`` is the verdict on the tests, without the coverage.
    ``sign`` is what shows that a test ran, None if nothing does. ``changed_by_tests`` are files of the checkout that
    the tests changed or removed. ``notes`` says, by the kind of report, what was ignored and why.
    """

    command: tuple[str, ...]
    summary: str
    tests: JUnitTotals | None = None
    coverage: Coverage | None = None
    changed_lines: Ratio | None = None
    changed_by_tests: tuple[str, ...] = ()
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exit_code: int | None = None
    passed: bool = False
    sign: Sign | None = None

    @property
    def coverage_line(self) -> str:
        """The coverage in words; empty if none was measured."""
        parts = [str(self.coverage or ""), f"changed lines {self.changed_lines}" if self.changed_lines else ""]
        return ", ".join(filter(None, parts))

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``gate.json``, and of ``gate`` in ``result.json``."""
        coverage = self.coverage
        return {
            "command": list(self.command),
            "summary": self.summary,
            "exitCode": self.exit_code,
            "passed": self.passed,
            "sign": self.sign,
            "junit": self.tests and {camel_case(key): value for key, value in asdict(self.tests).items()},
            "coverage": coverage
            and {
                "format": coverage.format,
                "lines": coverage.lines._asdict(),
                "branches": coverage.branches._asdict(),
                "changedLines": self.changed_lines and self.changed_lines._asdict(),
                "line": self.coverage_line,
            },
            "changedByTests": list(self.changed_by_tests),
            "notes": {kind: list(notes) for kind, notes in self.notes.items()},
        }


def run_gate(
    check: Check,
    folder: Path,
    home: Path,
    *,
    parent: Mapping[str, str],
    sink: Callable[[str], None],
    redact: Callable[[str], str],
    patch: bytes = b"",
    keep: Path | None = None,
    sandbox: Sandbox | None = None,
    temporary: Path | None = None,
) -> GateResult:
    """Run the tests of ``check`` in ``folder``, its folder, and return the result if they pass.

    ``patch`` is the change that the coverage mode ``changed`` measures. The reports and ``gate.json`` are copied to
    ``keep``, even if the run does not pass. Raises :class:`BuildStopped`: TestsFailed if a test fails, if none
    ran or if there is no test command; CoverageBelowThreshold if coverage is too low or cannot be measured.
    ``temporary`` is the folder for temporary files.
    """
    found = find_test_command(check, folder)

    def log(text: str) -> None:
        sink(redact(text))

    home.mkdir(parents=True, exist_ok=True)
    environment = gate_environment(home, parent, temporary, folder)
    is_detected = not check.test
    command = with_report_options(found, folder, home, environment, sandbox) if is_detected else DetectedCommand(found)
    before = take_snapshot(folder, home)
    for line in (*command.notes, f"$ {' '.join(command.words)}"):
        log(line)
    finished, summaries = _run(command.words, folder, environment, sink, redact, sandbox)
    reports = Reports.written_since(before, check.coverage, folder, home, log).with_notes(COVERAGE, command.notes)
    coverage, changed_lines = reports.coverage, None
    if coverage and check.coverage.mode == "changed":
        changed_lines = changed_lines_coverage(coverage, patch, str(folder), check.coverage.exclude)
    evidence = Evidence(finished, summaries, reports.tests, is_detected, command.tools)
    altered = tuple(map(printable_name, files_altered_since(before, folder, except_for=reports.contents)))
    failure = evidence.failure(_missing_report(command.words, reports), require_report=check.require_report)
    result = GateResult(
        command.words,
        evidence.summary,
        reports.tests,
        coverage,
        changed_lines,
        altered,
        reports.notes,
        None if finished.timed_out else finished.exit_code,
        passed=failure is None,
        sign=evidence.sign,
    )
    if keep:
        _keep(result, reports, keep, redact)
    if altered:
        log(f"the tests changed {len(altered)} files of the checkout: {', '.join(altered[:10])}")
    if failure:
        raise _with_command(failure, redact(shlex.join(found)))
    require_coverage(result, check.coverage)
    return result


def _with_command(stop: BuildStopped, command: str) -> BuildStopped:
    """Return ``stop``, whose remedy also names the test command, without the options that ask for reports."""
    remedy = f"{stop.remedy}. What ran is the test command {command[:_LONGEST_COMMAND]}"
    return BuildStopped(stop.outcome, stop.reason, remedy, stop.details, stop.owner)


def find_test_command(check: Check, folder: Path, *, is_set_up: bool = True) -> tuple[str, ...]:
    """Return the configured test command, or else the one that the files in ``folder`` suggest.

    Raises :class:`BuildStopped` (TestsFailed) if there is neither.
    """
    if command := check.test or detected_command(folder, is_set_up=is_set_up):
        return command
    problem = detect(folder).problem or "none is configured, and none can be detected from the files of the repository"
    first = problem.partition("\n")[0]
    raise BuildStopped(
        Outcome.TESTS_FAILED,
        f"no test command: {first}",
        "write the command into .kiro-worker.yml on the default branch, for example test: make test",
        problem if problem != first else "",
    )


def _missing_report(command: Sequence[str], reports: Reports) -> str:
    """Return why a report is missing that the command was asked for; empty if it was asked for none."""
    asked = [Path(word.removeprefix(_JUNIT_OPTION)) for word in command if word.startswith(_JUNIT_OPTION)]
    if all(path in reports.contents for path in asked):
        return ""
    return "; ".join(reports.notes.get(TESTS, ())) or "did not write the requested JUnit report"


def require_coverage(result: GateResult, settings: CoverageSettings) -> None:
    """Raise :class:`BuildStopped` (CoverageBelowThreshold) if coverage is too low or cannot be measured."""
    threshold, coverage = settings.threshold, result.coverage
    if threshold is None:
        return
    required = f"coverage.threshold is {threshold:g}%" + (", its default" if settings.is_default else "")
    if coverage is None:
        named = settings.report
        missing = f"{named} is missing or old" if named else "the tests wrote no coverage report"
        missing = "; ".join(result.notes.get(COVERAGE, ())) or missing
        raise _coverage_error(f"coverage cannot be measured: {missing}, and {required}")
    if settings.mode == "changed":
        if coverage.by_line is None:
            raise _coverage_error(f"a {coverage.format} report does not contain the coverage of individual lines")
        if result.changed_lines is None:
            raise _coverage_error("coverage cannot be measured: the report contains none of the changed files")
        if result.changed_lines.total and not result.changed_lines.meets(threshold):
            reason = f"coverage of the changed lines is {result.changed_lines}, and {required}"
            raise _coverage_error(reason, "add tests")
    elif not coverage.lines.total:
        raise _coverage_error(
            f"coverage cannot be measured: the report contains no lines of product code, and {required}"
        )
    elif not coverage.lines.meets(threshold):
        raise _coverage_error(f"coverage is {coverage}, and {required} of the lines", "add tests")


def _coverage_error(reason: str, remedy: str = _COVERAGE_REMEDY) -> BuildStopped:
    return BuildStopped(Outcome.COVERAGE_BELOW_THRESHOLD, reason, remedy)


def _run(
    command: tuple[str, ...],
    folder: Path,
    environment: Mapping[str, str],
    sink: Callable[[str], None],
    redact: Callable[[str], str],
    sandbox: Sandbox | None,
) -> tuple[Finished, Summaries]:
    """Return how the command ended, and what its whole output says, of which the result keeps only the end."""
    summaries = Summaries()

    def watch(line: str) -> None:
        summaries.read(line)
        sink(line)

    try:
        finished = stream(
            command,
            cwd=folder,
            environment=environment,
            timeout_seconds=TIMEOUT_MINUTES * 60.0,
            sink=watch,
            redact=redact,
            sandbox=sandbox,
        )
    except OSError as error:
        raise BuildStopped(
            Outcome.TESTS_FAILED,
            f"{command[0]} cannot be started: {error.strerror}",
            "install it in the build image, or correct test in .kiro-worker.yml",
        ) from None
    return finished, summaries


def _keep(result: GateResult, reports: Reports, target: Path, redact: Callable[[str], str]) -> None:
    """Replace what an earlier run left in ``target`` by the reports and the result, redacted."""
    shutil.rmtree(target, ignore_errors=True)
    reports.copy_to(target, redact)
    target.mkdir(parents=True, exist_ok=True)
    text = json.dumps(printable_document(result.to_dict()), indent=2, ensure_ascii=False)
    (target / GATE_FILE).write_text(redact(text), "utf-8")
