"""Tools whose summary is one line, or several lines of which each counts something.

Each pattern is anchored at the start of the line, and no two repetitions in it can match the same text, so that a
hostile line costs no more than its length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from kiro_worker.runner.gate.summaries.counts import Counts, counts_of
from kiro_worker.runner.gate.summaries.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Role = Literal["counts", "nothing", "failure", "opens", "inside", "held", "closes", "begins"]


@dataclass(frozen=True)
class Format:
    """One kind of line.

    ``role`` says what the line does: ``counts`` tests; says that ``nothing`` ran; reports a ``failure`` if one of its
    numbers counts failures, because other lines count the tests; ``opens`` a block, ``inside`` which lines count;
    is ``held`` until a line ``closes`` the block; ``begins`` a run, which has to reach a summary. ``repeats`` marks an
    opening or closing line whose numbers are also in other lines.
    """

    tool: str
    pattern: str
    role: Role = "counts"
    word_first: bool = False
    repeats: bool = False


_PYTEST_WORD: Final = r"(?:passed|failed|errors?|skipped|xfailed|xpassed|deselected|warnings?|rerun|subtests)"

FORMATS: Final = (
    # pytest: https://docs.pytest.org/en/stable/how-to/output.html
    Format("pytest", rf"(?:=+ )?(?=\d+ {_PYTEST_WORD}\b)[\d a-z,]+ in [\d.]+s(?: \([\w:, ]+\))?(?: =+)?$"),
    Format("pytest", r"(?:=+ )?no tests (?:ran|collected)\b[^=]* in [\d.]+s", "nothing"),
    Format("pytest", r"(?:=+ )?\d+(?:/\d+)? tests? collected\b[^=]* in [\d.]+s", "nothing"),
    Format("pytest", r"=+ test session starts =+$", "begins"),
    # jest: https://jestjs.io/docs/cli
    Format("jest", r"Tests:\s+\d[\w ,]* total$"),
    Format("jest", r"Test Suites:\s+\d[\w ,]* total$", "failure"),
    Format("jest", r"No tests found, exiting with code 0", "nothing"),
    # vitest: https://vitest.dev/guide/reporters
    Format("vitest", r"\s*Tests\s+\d+ (?:passed|failed|skipped|todo|expected fail)\b.*\(\d+\)$"),
    Format("vitest", r"\s*Tests\s+no tests$", "nothing"),
    Format("vitest", r"No test files found", "nothing"),
    Format("vitest", r"\s*(?:Test Files|(?:Type )?Errors)\s+\d+ (?:failed|errors?)\b", "failure"),
    Format("vitest", r"\s*RUN\s+v\d", "begins"),
    # mocha's spec and dot reporters: https://mochajs.org/#spec
    Format("mocha", r"\s{0,8}\d+ passing \(\w+\)$", "opens"),
    Format("mocha", r"\s{1,8}\d+ (?:failing|pending)$", "inside"),
    # AVA: https://github.com/avajs/ava/blob/main/docs/05-command-line.md
    Format("AVA", r"\s{0,4}\d+ tests? (?:passed|failed|skipped|todo)(?: \[[\d:]+\])?$"),
    Format("AVA", r"\s{0,4}\d+ (?:known failure|uncaught exception|unhandled rejection)s?$"),
    # uvu: https://github.com/lukeed/uvu, which counts skipped tests apart
    Format("uvu", r"  Total: {5}\d+$", "opens", repeats=True),
    Format("uvu", r"  (?:Passed: {4}|Skipped: {3})\d+$", "inside", word_first=True),
    # What replaces tape's own output: tap-spec and tap-arc, tap-dot. The exit code says whether a test failed.
    Format("tap-spec", r"(?:  )?total: {5}\d+$", "opens", repeats=True),
    Format("tap-spec", r"(?:  )?(?:passing|failing): {3}\d+$", "inside", word_first=True),
    Format("tap-dot", r"  \d+ tests$", "opens", repeats=True),
    Format("tap-dot", r"  \d+ passed$", "inside"),
    # lab: https://hapi.dev/module/lab, and tap-min
    Format("lab", r"\d+ tests? complete(?: \([^()]*\))?$"),
    Format("lab", r"\d+ of \d+ tests failed(?: \([^()]*\))?$"),
    # nodeunit and ospec count assertions
    Format("nodeunit", r"OK: \d+ assertions? \(\d+ms\)$"),
    Format("ospec", r"(?:The|All) \d+ assertions? passed\b"),
    # Playwright: https://playwright.dev/docs/test-reporters#line-reporter
    Format("Playwright", r"\s{2}\d+ (?:failed|flaky|skipped|interrupted|did not run)$", "held"),
    Format("Playwright", r"\s{2}\d+ passed \([\d.]+m?[smh]\)$", "closes"),
    # Bun: https://bun.com/docs/cli/test
    Format("bun", r" \d+ (?:pass|fail|skip|todo)$", "held"),
    Format("bun", r"Ran \d+ tests? across \d+ files?\.", "closes", repeats=True),
    Format("bun", r"bun test v\d", "begins"),
    # Deno: https://docs.deno.com/runtime/fundamentals/testing/
    Format("deno", r"(?:ok|FAILED) \| \d+ passed\b.*\| \d+ failed\b"),
    Format("deno", r"running \d+ tests? from ", "begins"),
    # libtest: https://doc.rust-lang.org/rustc/tests/
    Format("cargo", r"test result: (?:ok|FAILED)\. \d+ passed\b"),
    Format("cargo", r"running \d+ tests?$", "begins"),
    # nextest: https://nexte.st/docs/reporting/
    Format("nextest", r"\s*Summary \[ *[\d.]+s\] [\d/]+ tests? run: "),
    Format("nextest", r"\s*Starting \d+ tests? across ", "begins"),
    Format("gotestsum", r"DONE (?:\d+ runs, )?\d+ tests?(?:, \d+ (?:skipped|failures?|errors?))* in [\d.]+s$"),
    # JUnit 4's and JUnit 5's console runners; PHPUnit's "OK" is JUnit 4's with assertions.
    Format("PHPUnit", r"OK \(\d+ tests?(?:, \d+ assertions?)?\)$"),
    Format("PHPUnit", r"Tests: \d+, Assertions: \d+[\w ,:]*\.$", word_first=True),
    Format("PHPUnit", r"No tests executed!$", "nothing"),
    Format("PHPUnit", r"PHPUnit \d+\.\S* by Sebastian Bergmann", "begins"),
    Format("phpspec", r"\d+ examples? \(\d+ [a-z]+(?:, \d+ [a-z]+)*\)$"),
    Format("Pest", r"\s*Tests:\s+\d+ [a-z]+(?:, \d+ [a-z]+)* \(\d+ assertions?\)$"),
    Format("TestNG", r"Total tests run: \d+, (?:Passes|Failures): \d+", word_first=True),
    Format("JUnit", r"\[ +\d+ tests (?:successful|failed|skipped|aborted) +\]$"),
    # sbt with any framework: https://www.scala-sbt.org/1.x/docs/Testing.html
    Format("sbt", r"\[\w+\] (?:Passed|Failed): Total \d+, Failed \d+, Errors \d+, Passed \d+"),
    # Gradle counts only if a test failed or was skipped; its JUnit reports say the rest.
    Format("Gradle", r"\d+ tests? completed(?:, \d+ (?:failed|skipped))*$"),
    Format("Gradle", r"> Task :\S*[Tt]est\w* NO-SOURCE$", "nothing"),
    Format("Gradle", r"> Task :\S*[Tt]est\w* FAILED$", "failure"),
    Format("Gradle", r"(?:SUCCESS|FAILURE): Executed \d+ tests? in "),
    # RSpec and its kin (hspec, Crystal), minitest, test-unit, ExUnit, Jasmine
    Format("RSpec", r"\d+ examples?, \d+ failures?\b"),
    Format("minitest", r"\d+ (?:runs?|tests?), \d+ assertions?, \d+ failures?, \d+ errors?\b"),
    Format("minitest", r"# Running:$", "begins"),
    Format("ExUnit", r"(?:\d+ (?:doctests?|property|properties), )*\d+ tests?, \d+ failures?\b"),
    Format("Cucumber", r"\d+ scenarios? \(\d+ "),
    Format("Jasmine", r"\d+ specs?, \d+ failures?\b"),
    # .NET: VSTest in three verbosities, Microsoft.Testing.Platform, xUnit's own console
    Format(".NET", r"\s*(?:Passed|Failed|Skipped)! +- Failed: +\d+, Passed: +\d+, ", word_first=True),
    Format(".NET", r"Total tests: \d+$", "opens", repeats=True),
    Format(".NET", r" {1,8}(?:Passed|Failed|Skipped): +\d+$", "inside", word_first=True),
    Format(".NET", r"\s*Test summary: total: \d+, failed: \d+, ", word_first=True),
    Format(".NET", r"Test run summary: (?:Passed|Failed|Zero tests ran)\b", "opens", repeats=True),
    Format(".NET", r" {1,4}(?:failed|succeeded|skipped): \d+$", "inside", word_first=True),
    Format(".NET", r"\s*\S+\s+Total: \d+, Errors: \d+, Failed: \d+, Skipped: \d+, ", word_first=True),
    Format(".NET", r"No test (?:is available in|matches the given testcase filter) ", "nothing"),
    # Swift Testing. XCTest repeats its counts for every level, so it has a reader of its own.
    Format("Swift Testing", r"\W{0,4}Test run with \d+ tests?(?: in \d+ suites?)? passed after "),
    Format("Swift Testing", r"\W{0,4}Test run with \d+ tests?(?: in \d+ suites?)? failed after ", "failure"),
    # GoogleTest, Catch2, doctest
    Format("GoogleTest", r"\[  PASSED  \] \d+ tests?\.$"),
    Format("GoogleTest", r"\[  (?:FAILED  |SKIPPED )\] \d+ tests?, listed below:$"),
    Format("GoogleTest", r"\[={10}\] Running \d+ tests? from ", "begins"),
    Format("Catch2", r"All tests passed \(\d+ assertions? in \d+ test cases?\)$"),
    Format("Catch2", r"(?:\[doctest\] )?test cases: +\d+ \| "),
    # TAP's own harness
    Format("prove", r"Files=\d+, Tests=\d+, ", word_first=True),
    Format("prove", r"Result: FAIL$", "failure"),
    Format("prove", r"Result: NOTESTS$", "nothing"),
    # A plain last line, as many scripts print it
    Format("tests", r"\s{0,4}(?:\w+: )?\d+ passed, \d+ failed(?:, \d+ (?:skipped|ignored|total))*\.?$"),
)
_SAYS_FAILED: Final = re.compile(r"FAILED|\bFailed!|\bfailed after|Result: FAIL|Zero tests ran")
_LAB: Final = re.compile(r"(\d{1,9}) (?:of (\d{1,9}) tests failed|tests? complete)")
_ONE_NUMBER: Final = re.compile(r"\[  (FAILED|SKIPPED) +\] (\d{1,9})")
_SBT: Final = re.compile(r"(Total|Failed|Errors|Passed|Skipped|Ignored|Pending) (\d{1,9})")


def _lab(line: str) -> str:
    """Return lab's line in the words of others: its total is of the tests that ran."""
    match = _LAB.match(line)
    number, total = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
    counted = f"{number} failed, {max(0, total - number)} passed" if total else f"{number} passed"
    return f"{counted} {line.partition(' (')[2]}"


_CUTS: Final[Mapping[str, Callable[[str], str]]] = {
    "pytest": lambda line: line.rpartition(" in ")[0],
    "gotestsum": lambda line: line.partition(" runs, ")[2] or line,
    "lab": _lab,
    "nodeunit": lambda line: line.partition(" ")[2].replace("assertion", "passed assertion"),
    "Swift Testing": lambda line: re.split(" in | passed ", line)[0],
}
"""The part of a line that counts tests, where others count something else in the same words."""
_PATTERN: Final = re.compile("|".join(f"(?P<f{number}>{format_.pattern})" for number, format_ in enumerate(FORMATS)))


class FormatReader(Reader):
    """Reads the lines of the tools in ``FORMATS``."""

    def __init__(self, tool: str) -> None:
        super().__init__()
        self.tool = tool
        self._begun = self._ended = 0
        self._is_open = False
        self._held: list[tuple[Counts, str]] = []

    def read(self, line: str) -> None:
        """Do nothing: :func:`format_of` finds the one format of a line for all tools at once."""

    def take(self, format_: Format, line: str) -> None:
        """Note what ``line`` says, in its format."""
        role, says_failed = format_.role, bool(_SAYS_FAILED.search(line))
        if role == "begins":
            self._begun += 1
        elif role == "held":
            # No tool prints more of them.
            self._held = [*self._held, (_counts(format_, line), line)][-8:]
        elif role == "failure":
            failed = _counts(format_, line).failed
            if says_failed or failed:
                self.note(Counts(), line, failed=True)
                self.parts_failed += max(0, failed - 1)
        elif role != "inside" or self._is_open:
            self._is_open = self._is_open or role == "opens"
            says_nothing = role == "nothing" or format_.repeats
            self.note(Counts() if says_nothing else _counts(format_, line), line, failed=says_failed)
            self._ended += 1
        if role == "closes":
            for counts, held in self._held:
                self.note(counts, held)
            self._held = []

    @property
    def unfinished(self) -> str:
        """Each binary of cargo has its own summary; elsewhere, one summary is enough."""
        each = self.tool in ("cargo", "pytest")
        missing = self._begun - self._ended if each else self._begun and not self._ended
        return f"{self.tool} began a run and printed no summary of it" if missing > 0 else ""


def format_of(line: str) -> Format | None:
    """Return the format of ``line``; None if it is no tool's."""
    match = _PATTERN.match(line)
    return FORMATS[int((match.lastgroup or "f0")[1:])] if match else None


def _counts(format_: Format, line: str) -> Counts:
    if format_.tool == "GoogleTest" and (match := _ONE_NUMBER.match(line)):
        number = int(match[2])
        return Counts(failed=number) if match[1] == "FAILED" else Counts(skipped=number)
    if format_.tool == "sbt":
        line = ", ".join(f"{word}: {number}" for word, number in _SBT.findall(line))
        return counts_of(line, word_first=True)
    return counts_of(_CUTS.get(format_.tool, str)(line), word_first=format_.word_first)
