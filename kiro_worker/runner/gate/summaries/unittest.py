"""Python's unittest."""

from __future__ import annotations

import re
from typing import Final

from kiro_worker.runner.gate.summaries.counts import Counts
from kiro_worker.runner.gate.summaries.reader import Reader

_RAN: Final = re.compile(r"Ran (\d{1,9}) tests? in ")
_RESULT: Final = re.compile(r"(OK|FAILED|NO TESTS RAN)(?: \(([a-z =\d,]+)\))?$")
_PART: Final = re.compile(r"([a-z ]+)=(\d{1,9})(?:, |$)")
_SKIPPED_CLASS: Final = re.compile(r"setUp(?:Class|Module) \(\S+\) \.\.\. skipped ")


class UnittestReader(Reader):
    """Reads "Ran 3 tests in …" and the result below it, which says how many of them failed or were skipped.

    A skipped test counts as run. A class that its ``setUpClass`` skips does not, but is among the skipped ones; only
    ``-v`` shows which those are.
    """

    tool = "unittest"

    def __init__(self) -> None:
        super().__init__()
        self._ran = self._skipped_classes = 0

    def read(self, line: str) -> None:
        """Note a run, or its result."""
        if ran := _RAN.match(line):
            self._ran = int(ran[1])
            self.note(Counts(passed=self._ran), line)
        elif _SKIPPED_CLASS.match(line):
            self._skipped_classes += 1
        elif (result := _RESULT.match(line)) and (self.found or line.startswith("FAILED (")):
            parts = {name: int(number) for name, number in _PART.findall(result[2] or "")}
            failed = parts.get("failures", 0) + parts.get("errors", 0)
            skipped = parts.get("skipped", 0)
            not_run = failed + max(0, skipped - self._skipped_classes)
            passed = max(self._ran - not_run, parts.get("expected failures", 0), 0)
            change = Counts(passed - self._ran, failed, skipped)
            self._ran = self._skipped_classes = 0
            if any(change) or result[1] == "FAILED":
                self.note(change, line, failed=result[1] == "FAILED")
