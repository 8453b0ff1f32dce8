"""What shows that tests ran and passed: the exit code, the JUnit reports and the test runner's summary.

No single one is trusted. If any of them reports a failure, the run failed. An exit code of 0 shows nothing: a test file
that calls ``os._exit(0)`` ends with it, and so does a runner that finds no test. At least one test that was not skipped
has to be in a report or in a summary. Only a command that the installation configured may pass without either, and the
summary then says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.runner.gate.junit import JUnitTotals
    from kiro_worker.runner.gate.summaries.summaries import Summaries
    from kiro_worker.runner.sandbox.processes import Finished

TIMEOUT_MINUTES: Final = 30
EXIT_CODE_ONLY: Final = "passed (exit code only)"
_FIX_TESTS: Final = (
    "redrive the execution, which lets the agent fix this once, or fix the code or the tests on the branch"
)
_FIX_SIGN: Final = (
    "have the tests write a JUnit report or print the summary of a usual test runner, or correct"
    ' "test" in .kiro-worker.yml'
)

Sign = Literal["report", "summary", "exitCode"]
"""What shows that a test ran; ``exitCode`` shows only that the command ended well."""


@dataclass(frozen=True)
class Evidence:
    """Everything that is known about a test run.

    ``tools`` are those of which one must print a summary, any if empty. ``is_detected`` tells a detected command from a
    configured one.
    """

    finished: Finished
    summaries: Summaries
    tests: JUnitTotals | None = None
    is_detected: bool = False
    tools: Sequence[str] = ()

    @property
    def sign(self) -> Sign | None:
        """The strongest sign that a test ran; None if something says that none did."""
        if self.tools and not self.summaries.executed_by(self.tools):
            # A report beside it was not written by the tool, which is known to write none.
            return None
        if self.tests:
            return "report" if self.tests.executed else None
        if self.summaries.counts.executed:
            return "summary"
        return None if self.summaries.found or self.is_detected else "exitCode"

    @property
    def summary(self) -> str:
        """What was seen of the tests, in words. It never says more than that."""
        # A summary that says that nothing ran may be one part of a run whose report shows tests.
        is_shown = self.summaries.counts.executed or not self.tests
        seen = (self.summaries.text if is_shown else "") or str(self.tests or "")
        if self.finished.timed_out:
            ending = f"timed out after {TIMEOUT_MINUTES} minutes"
        else:
            ending = f"exit code {self.finished.exit_code}"
        if seen:
            return seen if self.finished.succeeded else f"{seen} ({ending})"
        if not self.finished.succeeded:
            return ending
        return EXIT_CODE_ONLY if self.sign else f"no test seen ({ending})"

    def failure(self, missing_report: str = "", *, require_report: bool = False) -> BuildStopped | None:
        """Return why the run did not pass (TestsFailed); None if no signal reports a failure, and one shows a test.

        ``missing_report`` says why there is no report although the command was asked for one. ``require_report``
        rejects a run whose only sign is its exit code.
        """
        reason, remedy = self._failure()
        if not reason and missing_report:
            reason = f"the test command ended with exit code 0, but {missing_report}"
            remedy = 'check that pytest can write the report, or set "test" in .kiro-worker.yml'
        if not reason:
            reason, remedy = self._missing_sign(require_report=require_report)
        return BuildStopped(Outcome.TESTS_FAILED, reason, remedy, self.finished.last_lines()) if reason else None

    def _failure(self) -> tuple[str, str]:
        """Return the first failure that a signal reports, and its remedy; empty if there is none."""
        tests, finished = self.tests, self.finished
        names = f": {', '.join(tests.failed_names[:5])}" if tests and tests.failed_names else ""
        if finished.timed_out:
            fewer = 'make the tests faster, or set "test" in .kiro-worker.yml to run fewer of them'
            return f"the tests did not finish within {TIMEOUT_MINUTES} minutes", fewer
        if not finished.succeeded:
            seen = self.summaries.text or self.summaries.failure or str(tests or "")
            cause = names or (f": {seen}" if seen else ", and nothing shows that a test ran")
            return f"the tests ended with exit code {finished.exit_code}{cause}", _FIX_TESTS
        if tests and tests.failed:
            shown = f"its JUnit report shows {tests.failed} failed{names}"
            return f"the test command ended with exit code 0, but {shown}", _FIX_TESTS
        if failure := self.summaries.failure:
            return f"the test command ended with exit code 0, but its output says: {failure}", _FIX_TESTS
        return "", ""

    def _missing_sign(self, *, require_report: bool) -> tuple[str, str]:
        """Return why nothing shows that a test ran, and the remedy; empty if something does."""
        sign = self.sign
        if sign in ("report", "summary") or (sign == "exitCode" and not require_report):
            return "", ""
        if self.tests or self.summaries.found:
            shown = self.summaries.text if self.tools or not self.tests else str(self.tests)
            reason = f"no test ran ({shown}), and a run without tests proves nothing"
            return reason, 'add tests, or set "test" in .kiro-worker.yml'
        reason = (
            "the test command ended with exit code 0, but nothing shows that a test ran:"
            " it wrote no JUnit report and printed no summary that is recognized"
        )
        if sign == "exitCode":
            return f"{reason}, and requireReport is true", f'{_FIX_SIGN}, or set "requireReport": false'
        return reason, _FIX_SIGN
