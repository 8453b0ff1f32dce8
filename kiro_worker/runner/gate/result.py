"""What the gate measured with one check, as ``gate.json`` and ``result.json`` have it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from kiro_worker.document import camel_case
from kiro_worker.runner.gate.baseline import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.records.summaries import FailedTest
    from kiro_worker.runner.gate.coverage.model import Coverage, Ratio
    from kiro_worker.runner.gate.evidence import Sign
    from kiro_worker.runner.gate.junit import JUnitTotals


@dataclass(frozen=True)
class GateResult:
    """What the gate measured with one check.

    ``exit_code`` is ``None`` if the tests were stopped. ``passed`` is the verdict on the tests, without the coverage.
    ``sign`` is what shows that a test ran, None if nothing does. ``changed_by_tests`` are files of the checkout that
    the tests changed or removed. ``notes`` says, by the kind of report, what was ignored and why.

    ``failed`` are the tests whose failures count. ``excused`` failed before the agent started, too, ``flaky`` passed
    when they were run again, and ``vanished`` ran before the agent started and do not run now.
    ``not_measured`` says why the default threshold for coverage was not applied.
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
    check: str = ""
    failed: tuple[FailedTest, ...] = ()
    excused: tuple[str, ...] = ()
    flaky: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    not_measured: str = ""

    @property
    def coverage_line(self) -> str:
        """The coverage in words; empty if none was measured."""
        parts = [str(self.coverage or ""), f"changed lines {self.changed_lines}" if self.changed_lines else ""]
        return ", ".join(filter(None, parts))

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``gate.json``, and of an entry of ``gate.checks`` in ``result.json``."""
        coverage = self.coverage
        return {
            "check": self.check,
            "command": list(self.command),
            "summary": self.summary,
            "exitCode": self.exit_code,
            "passed": self.passed,
            "sign": self.sign,
            "junit": self.tests and {camel_case(key): value for key, value in asdict(self.tests).items()},
            "failed": [asdict(test) for test in self.failed],
            "excused": shortened(self.excused),
            "flaky": shortened(self.flaky),
            "vanished": shortened(self.vanished),
            "coverage": coverage
            and {
                "format": coverage.format,
                "lines": coverage.lines._asdict(),
                "branches": coverage.branches._asdict(),
                "changedLines": self.changed_lines and self.changed_lines._asdict(),
                "line": self.coverage_line,
            },
            "coverageNotMeasured": self.not_measured,
            "changedByTests": list(self.changed_by_tests),
            "notes": {kind: list(notes) for kind, notes in self.notes.items()},
        }
