"""Everything that the output of a test run says about the tests, from all tools that are recognized in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.summaries.compiled import CTestReader, GoReader, SurefireReader, XCTestReader
from kiro_worker.runner.gate.summaries.counts import Counts
from kiro_worker.runner.gate.summaries.formats import FormatReader, format_of
from kiro_worker.runner.gate.summaries.tap import NodeReader, TapReader
from kiro_worker.runner.gate.summaries.unittest import UnittestReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kiro_worker.runner.gate.summaries.reader import Reader

LONGEST_LINE: Final = 1000
"""No tool's summary is longer. A longer line is not looked at, so its length costs nothing."""
_SHOWN_TOOLS: Final = 3
_PREFIX: Final = re.compile(r"(?:[\w@./-]{1,100}:test(?::\w{1,50})?: |[\w@./-]{1,100} test(?::\w{1,50})?: )")
"""What turbo ("web:test: ") and pnpm ("packages/web test: ") print before each line of a package."""


class Summaries:
    """Reads the output of a test run, line by line, in constant memory and linear time."""

    def __init__(self) -> None:
        self._tap = TapReader()
        self._stateful: tuple[Reader, ...] = (
            *(UnittestReader(), self._tap, NodeReader(), GoReader()),
            *(SurefireReader(), XCTestReader(), CTestReader()),
        )
        self._by_format: dict[str, FormatReader] = {}

    @classmethod
    def of(cls, lines: Iterable[str]) -> Summaries:
        """Return what ``lines`` say."""
        summaries = cls()
        for line in lines:
            summaries.read(line)
        return summaries

    def read(self, line: str) -> None:
        """Note what a line of the output says."""
        if len(line) > LONGEST_LINE:
            return
        line = line.rstrip()
        if not line:
            return
        if prefix := _PREFIX.match(line):
            line = line[prefix.end() :]
        if format_ := format_of(line):
            self._by_format.setdefault(format_.tool, FormatReader(format_.tool)).take(format_, line)
            return
        for stateful in self._stateful:
            stateful.read(line)

    @property
    def found(self) -> bool:
        """Whether a tool's summary was recognized."""
        return any(True for _ in self._found())

    @property
    def counts(self) -> Counts:
        """The sum over all tools."""
        total = Counts()
        for reader in self._found():
            total = total.plus(reader.counts)
        return total

    @property
    def parts_failed(self) -> int:
        """How many files, suites or packages failed, over all tools."""
        return sum(reader.parts_failed for reader in self._found())

    def executed_by(self, tools: Iterable[str]) -> int:
        """Return how many tests ran according to the summaries of ``tools``, or of any tool if that is empty."""
        wanted = set(tools)
        return sum(reader.counts.executed for reader in self._found() if not wanted or reader.tool in wanted)

    @property
    def failure(self) -> str:
        """The last line that reports a failure, or else a run that printed no summary; empty if there is neither."""
        for reader in self._found():
            if reader.failure:
                return reader.failure
        return self._tap.reported_failure or self.unfinished

    @property
    def unfinished(self) -> str:
        """Why a tool seems to have ended before its tests did; empty if none does."""
        readers = (*self._stateful, *self._by_format.values())
        return next((text for text in (each.unfinished for each in readers) if text), "")

    @property
    def text(self) -> str:
        """The summaries in words, those of tools that counted nothing only if no other did; empty if there is none."""
        found = list(self._found())
        counted = [reader for reader in found if any(reader.counts) or reader.failure]
        return "; ".join(reader.text for reader in (counted or found)[:_SHOWN_TOOLS])

    def _found(self) -> Iterable[Reader]:
        return (reader for reader in (*self._stateful, *self._by_format.values()) if reader.found)
