"""The base of all readers: what one tool's output has shown so far."""

from __future__ import annotations

from kiro_worker.runner.gate.summaries.counts import Counts

LONGEST_TEXT = 200


class Reader:
    """Reads one tool's output, line by line, in constant memory.

    ``found`` says that a summary was recognized, ``counts`` what the summaries add up to, ``failure`` is the last line
    that reports a failure. ``parts_failed`` counts failures of something larger than a test: a file, suite or package.
    """

    tool = ""

    def __init__(self) -> None:
        self.found = False
        self.counts = Counts()
        self.failure = ""
        self.parts_failed = 0
        self._lines = 0
        self._line = ""

    def read(self, line: str) -> None:
        """Note what ``line``, without its line end and trailing blanks, says."""
        raise NotImplementedError

    @property
    def unfinished(self) -> str:
        """Why the tool seems to have ended before its tests did; empty if it does not."""
        return ""

    @property
    def text(self) -> str:
        """The summary: the tool's own line, or the counts if several lines add up."""
        return str(self.counts) if self._lines > 1 else self._line

    def note(self, counts: Counts, line: str, *, failed: bool = False) -> None:
        """Add ``counts``, which ``line`` reports. ``failed`` marks a line that reports a failure without a number."""
        self.found = True
        self.counts = self.counts.plus(counts)
        shown = " ".join(line.strip(" =\t").split())[:LONGEST_TEXT]
        if any(counts) or not self._line:
            self._lines += any(counts)
            self._line = shown
        if counts.failed or failed:
            self.failure = shown
            self.parts_failed += not counts.failed
