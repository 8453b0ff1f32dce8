"""The Test Anything Protocol, and node's test runner, which also writes it.

https://testanything.org/tap-version-14-specification.html, https://nodejs.org/api/test.html
"""

from __future__ import annotations

import re
from typing import Final

from kiro_worker.runner.gate.summaries.counts import Counts
from kiro_worker.runner.gate.summaries.reader import Reader

_POINT: Final = re.compile(r"(not )?ok (\d+)(?:$| )(?:- )?(.*)")
_NESTED_POINT: Final = re.compile(r" +(?:not )?ok \d+\b")
_DIRECTIVE: Final = re.compile(r"# ?(skip|todo)\b", re.IGNORECASE)
_PLAN: Final = re.compile(r"1\.\.(\d{1,9})(?:$| )")
_VERSION: Final = re.compile(r"TAP version \d+$", re.IGNORECASE)
_COMMENT: Final = re.compile(r"# (pass|fail|skip|skipped|cancelled) +(\d{1,9})$")
_SPEC: Final = re.compile("[\u2139i] (tests|pass|fail|cancelled|skipped|todo) (\\d{1,9})$")
_SPEC_POINT: Final = re.compile("(\\s*)[\u2714\u2713] (.*?)(?: \\([\\d.]+m?s\\))?$")
_FILE: Final = re.compile(r"\S+\.[cm]?[jt]sx?$")


class TapReader(Reader):
    """Counts the top level of TAP streams.

    A stream that stops before its plan is fulfilled ended early. Node reports a test file without a test, or one that
    called ``process.exit``, as one passed test that has the file's name: it counts as nothing.
    """

    tool = "TAP"

    def __init__(self) -> None:
        super().__init__()
        self._versions = self._points = self._planned = self._plans = self._todo = 0
        self._comments: dict[str, int] = {}
        self._nested = False

    def read(self, line: str) -> None:
        """Note a test point, a plan, or a comment that counts."""
        if point := _POINT.match(line):
            self._read_point(line, is_ok=not point[1], text=point[3])
        elif _NESTED_POINT.match(line):
            self._nested = True
        elif plan := _PLAN.match(line):
            self._plans += 1
            self._planned += int(plan[1])
        elif _VERSION.match(line):
            self._versions += 1
        elif comment := _COMMENT.match(line):
            self._comments[comment[1]] = self._comments.get(comment[1], 0) + int(comment[2])
        elif line.startswith("Bail out!"):
            self.note(Counts(failed=1), line)
        self.found = bool(self._versions or (self._points and self._plans))

    def _read_point(self, line: str, *, is_ok: bool, text: str) -> None:
        nested, self._nested = self._nested, False
        self._points += 1
        directive = _DIRECTIVE.search(text)
        if directive:
            self._todo += not is_ok
            self.note(Counts(skipped=1), line)
        elif is_ok and not nested and _FILE.match(text):
            self.note(Counts(), line)
        else:
            self.note(Counts(passed=int(is_ok), failed=int(not is_ok)), line)

    @property
    def unfinished(self) -> str:
        """Whether results are missing, unless the stream counts its own results."""
        if not self.found or self._comments or self._points == self._planned:
            return ""
        planned = f"its plan has {self._planned}" if self._plans else "it has no plan"
        return f"the TAP output has {self._points} results, but {planned}"

    @property
    def reported_failure(self) -> str:
        """The failures that the stream's own totals report beyond those of its lines. A TODO test may fail."""
        claimed = self._comments.get("fail", 0) + self._comments.get("cancelled", 0) - self._todo
        return f"# fail {claimed}" if self.found and claimed > self.counts.failed else ""

    @property
    def text(self) -> str:
        """The counts: a single point is no summary."""
        return str(self.counts)


class NodeReader(Reader):
    """Reads the spec reporter of node's test runner, and leaves out the files that it counts as tests."""

    tool = "node:test"

    def __init__(self) -> None:
        super().__init__()
        self._files = 0

    def read(self, line: str) -> None:
        """Note a total, or a file that is reported as a test."""
        if point := _SPEC_POINT.match(line):
            self._files += not point[1] and bool(_FILE.match(point[2]))
        elif total := _SPEC.match(line):
            number = int(total[2])
            if total[1] == "pass":
                self.note(Counts(passed=max(0, number - self._files)), line)
                self._files = 0
            elif total[1] in ("fail", "cancelled"):
                self.note(Counts(failed=number), line)
            elif total[1] in ("skipped", "todo"):
                self.note(Counts(skipped=number), line)
            else:
                self.found = True

    @property
    def text(self) -> str:
        """The counts: node prints one line for each."""
        return str(self.counts)
