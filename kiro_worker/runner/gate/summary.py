"""The summary lines that the usual test runners print, and what they reveal about the run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def summary_of(lines: Sequence[str]) -> str:
    """Return the test runner's summary, which is the last line that looks like one; empty if there is none."""
    for line in reversed(lines):
        if _is_summary(line):
            return line.strip(" =\t")
    return ""


def nothing_ran(lines: Sequence[str]) -> bool:
    """Return whether every summary in the output says that no test ran: there was none, or all were skipped."""
    summaries = [line for line in lines if _is_summary(line)]
    # unittest counts skipped tests as run, and says how many it skipped on the next line.
    all_skipped = tuple(f"Ran {skipped[1]} test" for line in lines if (skipped := _SKIPPED.match(line)))
    return bool(summaries) and all(_NOTHING_RAN.search(line) or line.startswith(all_skipped) for line in summaries)


def last_failure(lines: Sequence[str]) -> str:
    """Return the last summary that reports a failure; empty if none does."""
    for line in reversed(lines):
        # unittest prints "FAILED (…)" below its summary.
        if (_is_summary(line) or line.startswith("FAILED (")) and _FAILED.search(line):
            return line.strip(" =")
    return ""


def _is_summary(line: str) -> bool:
    return any(pattern.match(line) for pattern in _SUMMARIES)
