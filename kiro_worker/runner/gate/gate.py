"""What decides whether the work may be pushed: the project's own tests, and how much of the code they ran.

No one sign is believed alone. The exit code, the JUnit reports and the runner's summary are compared, and where one of
them tells of a failure, or all that can tell say that nothing ran, the work is not pushed.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.models import camel_case
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate import coverage as coverages
from kiro_worker.runner.gate import junit
from kiro_worker.runner.gate.report_files import Unreadable, changed, fresh, inside, read, snapshot
from kiro_worker.runner.gate.test_command import detected_command, with_report_options
from kiro_worker.runner.sandbox.processes import scrubbed_environment, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kiro_worker.config.model import Configuration
    from kiro_worker.runner.gate.coverage import Coverage, Ratio
    from kiro_worker.runner.gate.junit import JUnitTotals
    from kiro_worker.runner.gate.report_files import Signature
    from kiro_worker.runner.sandbox.processes import Finished
    from kiro_worker.runner.sandbox.sandbox import Sandbox

MINUTES: Final = 30
MOST_REPORTS: Final = 500
GATE_FILE: Final = "gate.json"

_SUMMARIES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"^Ran \d+ tests? in .*",  # unittest
        r"^=* ?(?:\d+ (?:passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?)(?:, )?)+ in [\d.]+s.*",
        r"^=* ?no tests ran in .*",
        r"^Tests:\s+.*total.*",  # jest
        r"^\s*Tests\s+\d+ (?:passed|failed|skipped|todo).*",  # vitest
        r"^\s+\d+ passing.*",  # mocha
        r"^[#\u2139] (?:tests|pass|fail) \d+",  # node --test
        r"^test result: .*",  # cargo
        r"^\[?(?:INFO|ERROR|WARNING)?\]? ?Tests run: \d+, Failures: \d+.*",  # Maven
        r"^(?:ok|FAIL|---)\s+\S+\s+[\d.]+s.*",  # go
        r"^\?\s+\S+\s+\[no test files\]",
        r"^> Task :\S*\b[Tt]est NO-SOURCE",  # Gradle
    )
)
_NOTHING_RAN: Final = re.compile(
    r"^Ran 0 tests in |no tests ran in |^test result: ok\. 0 passed; 0 failed;|Tests run: 0,|^[#\u2139] tests 0$"
    r"|^=* ?(?:\d+ (?:skipped|deselected|warnings?)(?:, )?)+ in [\d.]+s"
    r"|^Tests:\s+(?:\d+ (?:skipped|todo), )*\d+ total|^\s*Tests\s+(?:\d+ (?:skipped|todo)(?: \| )?)+ \(|^\s+0 passing"
    r"|\[no tests? (?:to run|files)\]|NO-SOURCE$"
)
_SKIPPED: Final = re.compile(r"^OK \(skipped=(\d+)")
_FAILED: Final = re.compile(
    r"\b[1-9]\d* (?:failed|errors?|failing)\b|(?:Failures|Errors): [1-9]|^FAILED \((?:failures|errors)=|^FAIL\s"
    r"|^test result: FAILED|^[#\u2139] fail [1-9]"
)
_MEND_COVERAGE: Final = (
    'have the tests write one of the usual reports, name it in "coverageReport", or set "coverageThreshold": null'
    " in the configuration parameter to go without"
)


@dataclass(frozen=True)
class GateResult:
    """What the gate measured; of a run that passed when it is returned. ``changed_by_tests`` are files of the checkout
    that are not as they were before the tests.
    """

    command: tuple[str, ...]
    summary: str
    tests: JUnitTotals | None = None
    coverage: Coverage | None = None
    changed_lines: Ratio | None = None
    changed_by_tests: tuple[str, ...] = ()

    @property
    def coverage_line(self) -> str:
        """For people; empty when nothing was measured."""
        parts = [str(self.coverage or ""), f"changed lines {self.changed_lines}" if self.changed_lines else ""]
        return ", ".join(filter(None, parts))

    def to_dict(self) -> dict[str, Any]:
        """The content of ``gate.json``, and of ``gate`` in ``result.json``."""
        measured = self.coverage
        return {
            "command": list(self.command),
            "summary": self.summary,
            "junit": self.tests and {camel_case(key): value for key, value in asdict(self.tests).items()},
            "coverage": measured
            and {
                "format": measured.format,
                "lines": measured.lines._asdict(),
                "branches": measured.branches._asdict(),
                "changedLines": self.changed_lines and self.changed_lines._asdict(),
                "line": self.coverage_line,
            },
            "changedByTests": list(self.changed_by_tests),
        }


def run_gate(
    configuration: Configuration,
    folder: Path,
    home: Path,
    *,
    parent: Mapping[str, str],
    sink: Callable[[str], None],
    redact: Callable[[str], str],
    patch: bytes = b"",
    keep: Path | None = None,
    sandbox: Sandbox | None = None,
) -> GateResult:
    """Run the project's tests in ``folder``. Raises :class:`BuildStopped`: TestsFailed when they fail, when none ran, or
    when there is nothing to run; CoverageBelowThreshold when too little of the code ran or nobody can tell.

    ``patch`` is the change, for ``coverageMode`` ``changed``. Into ``keep`` go the reports and ``gate.json``, also of a
    run that did not pass.
    """
    command = configuration.test_command or detected_command(folder)
    if not command:
        raise BuildStopped(
            Outcome.TESTS_FAILED,
            "no test command: none is configured, and the repository has none of the usual ones",
            'set "testCommand" in the configuration parameter, e.g. "make test"',
        )
    home.mkdir(parents=True, exist_ok=True)
    environment = scrubbed_environment(home, parent, CI="true", COVERAGE_FILE=str(home / ".coverage"))
    if not configuration.test_command:
        command = with_report_options(command, folder, home, environment, sandbox)
    before = snapshot(folder, home)
    finished = _run(command, folder, environment, sink, redact, sandbox)
    found = _Found.after(configuration, folder, home, before, sink)
    coverage, lines = found.coverage, None
    if coverage and configuration.coverage_mode == "changed":
        lines = coverages.of_changed_lines(coverage, patch, str(folder))
    summary = summary_of(finished.lines) or str(found.tests or "")
    touched = changed(folder, before, apart_from=found.files)
    result = GateResult(command, redact(summary) or "passed", found.tests, coverage, lines, touched)
    if keep:
        _keep(result, found, keep, redact)
    if touched:
        sink(f"the tests changed {len(touched)} files: {', '.join(touched[:10])}")
    require_tests(result, finished)
    require_coverage(result, configuration)
    return result


def require_tests(result: GateResult, finished: Finished) -> None:
    """Every sign says that tests ran and passed. Raises :class:`BuildStopped` (TestsFailed)."""
    tests, summary = result.tests, result.summary
    names = f": {', '.join(tests.failed_names[:5])}" if tests and tests.failed_names else ""
    told = [line for line in finished.lines if _is_summary(line) and _FAILED.search(line)]
    if finished.timed_out:
        reason = f"the tests did not end within {MINUTES} minutes"
    elif not finished.succeeded:
        said = names or (f": {summary}" if summary != "passed" else "")
        reason = f"the tests ended with exit code {finished.exit_code}{said}"
    elif tests and tests.failed:
        reason = f"the test command ended with exit code 0, but its JUnit report tells of {tests.failed} failed{names}"
    elif told:
        reason = f"the test command ended with exit code 0, but it said: {told[-1].strip(' =')}"
    elif (tests and not tests.executed) or (not tests and nothing_ran(finished.lines)):
        reason = f"no test ran ({summary}), and a run without tests proves nothing"
    elif not tests and any(word.startswith("--junitxml=") for word in result.command):
        reason = "the test command ended with exit code 0 without the JUnit report that it was asked for"
    else:
        return
    mended = 'add tests, or set "testCommand" in the configuration parameter' if reason.startswith("no test") else ""
    raise BuildStopped(Outcome.TESTS_FAILED, reason, mended, finished.last_lines())


def require_coverage(result: GateResult, configuration: Configuration) -> None:
    """Enough of the code ran. Raises :class:`BuildStopped` (CoverageBelowThreshold), also when nobody can tell."""
    threshold, coverage = configuration.coverage_threshold, result.coverage
    if threshold is None:
        return
    asked = f"coverageThreshold is {threshold:g} %" + (
        "" if "coverage_threshold" in configuration.model_fields_set else ", its default"
    )
    if coverage is None:
        where = configuration.coverage_report
        missing = f"{where} is not there, not new or not readable" if where else "the tests left no coverage report"
        _stop(f"coverage cannot be measured: {missing}, and {asked}", _MEND_COVERAGE)
    elif configuration.coverage_mode == "changed":
        if coverage.by_line is None:
            _stop(f"the coverage of single lines is not in a report of format {coverage.format}", _MEND_COVERAGE)
        if result.changed_lines is None:
            _stop("coverage cannot be measured: none of the changed files is in the report", _MEND_COVERAGE)
        elif result.changed_lines.total and not result.changed_lines.meets(threshold):
            _stop(f"coverage of the changed lines is {result.changed_lines}, and {asked}", "add tests")
    elif not coverage.lines.total:
        _stop(f"coverage cannot be measured: the report has no lines, and {asked}", _MEND_COVERAGE)
    elif not coverage.lines.meets(threshold):
        _stop(f"coverage is {coverage}, and {asked} of the lines", "add tests")


def summary_of(lines: Sequence[str]) -> str:
    """The runner's own summary line, the last one that looks like one; empty when there is none."""
    for line in reversed(lines):
        if any(pattern.match(line) for pattern in _SUMMARIES):
            return line.strip(" =\t")
    return ""


def nothing_ran(lines: Sequence[str]) -> bool:
    """Whether every summary in the output says that no test was executed: there was none, or all were skipped."""
    told = [line for line in lines if any(pattern.match(line) for pattern in _SUMMARIES)]
    # unittest counts those that it skipped as run, and tells them apart a line later.
    skipped = tuple(f"Ran {found[1]} test" for line in lines if (found := _SKIPPED.match(line)))
    return bool(told) and all(_NOTHING_RAN.search(line) or line.startswith(skipped) for line in told)


@dataclass(frozen=True)
class _Found:
    """The reports that the run left: of the tests, and of coverage in one format."""

    tests: JUnitTotals | None
    coverage: Coverage | None
    files: dict[Path, str]

    @classmethod
    def after(
        cls,
        configuration: Configuration,
        folder: Path,
        home: Path,
        before: Mapping[Path, Signature],
        sink: Callable[[str], None],
    ) -> _Found:
        files: dict[Path, str] = {}
        totals: list[JUnitTotals] = []
        for path in fresh((folder, home), before, junit.PATTERNS)[:MOST_REPORTS]:
            try:
                totals.append(junit.read_junit(read(path), path.name))
                files[path] = "tests"
            except Unreadable as error:
                sink(f"not counted: {error}")
        measured: list[Coverage] = []
        for path in _coverage_reports(configuration.coverage_report, folder, home, before):
            try:
                measured.append(coverages.read_coverage(read(path), path.name))
                files[path] = "coverage"
            except Unreadable as error:
                sink(f"not counted: {error}")
        measured = [one for one in measured if one.format == measured[0].format]
        return cls(sum(totals[1:], totals[0]) if totals else None, coverages.merged(measured), files)


def _coverage_reports(named: str | None, folder: Path, home: Path, before: Mapping[Path, Signature]) -> list[Path]:
    if named:
        path = inside(folder, named)
        return fresh((path.parent,), before, (path.name,))[:1] if path else []
    for patterns in coverages.PATTERNS.values():
        if found := fresh((folder, home), before, patterns):
            return found[:MOST_REPORTS]
    return []


def _run(
    command: tuple[str, ...],
    folder: Path,
    environment: Mapping[str, str],
    sink: Callable[[str], None],
    redact: Callable[[str], str],
    sandbox: Sandbox | None,
) -> Finished:
    sink(f"$ {' '.join(command)}")
    try:
        return stream(
            command,
            cwd=folder,
            environment=environment,
            timeout_seconds=MINUTES * 60.0,
            sink=sink,
            redact=redact,
            sandbox=sandbox,
        )
    except OSError as error:
        raise BuildStopped(
            Outcome.TESTS_FAILED,
            f"{command[0]} cannot be started: {error.strerror}",
            "install it in the build image, or correct testCommand in the configuration parameter",
        ) from None


def _keep(result: GateResult, found: _Found, target: Path, redact: Callable[[str], str]) -> None:
    """Each kind in a folder of its own, under names of our own making; nothing of an earlier run stays."""
    shutil.rmtree(target, ignore_errors=True)
    for number, (path, kind) in enumerate(found.files.items(), 1):
        (target / kind).mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^A-Za-z0-9._-]", "-", path.name)[-80:]
        (target / kind / f"{number:03}-{name}").write_text(redact(read(path).decode(errors="replace")), "utf-8")
    target.mkdir(parents=True, exist_ok=True)
    if found.coverage and (document := coverages.as_cobertura(found.coverage)):
        (target / "coverage" / "cobertura.xml").write_text(redact(document.decode()), "utf-8")
    (target / GATE_FILE).write_text(redact(json.dumps(result.to_dict(), indent=2, ensure_ascii=False)), "utf-8")


def _is_summary(line: str) -> bool:
    return line.startswith("FAILED (") or any(pattern.match(line) for pattern in _SUMMARIES)


def _stop(reason: str, remedy: str) -> None:
    raise BuildStopped(Outcome.COVERAGE_BELOW_THRESHOLD, reason, remedy)
