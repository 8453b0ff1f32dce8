"""How many tests passed, failed and were skipped, counted from the words of a summary."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_PASSED: Final = frozenset(
    (
        *("passed", "passing", "pass", "passes", "succeeded", "successful"),
        # These ran, and the tool does not count them as failures.
        *("xfailed", "xpassed", "measured", "expected fail", "known failure", "known failures"),
    )
)
_FAILED: Final = frozenset(
    (
        *("failed", "failing", "fail", "failure", "failures", "error", "errors", "cancelled", "aborted", "timed out"),
        *("uncaught exception", "uncaught exceptions", "unhandled rejection", "unhandled rejections"),
        *("test remaining", "tests remaining", "exec failed", "did not run"),
    )
)
_SKIPPED: Final = frozenset(
    (
        *("skipped", "skip", "skips", "ignored", "pending", "pendings", "todo", "disabled", "incomplete"),
        *("omissions", "excluded", "inconclusive", "pending spec", "pending specs"),
    )
)
_TOTAL: Final = frozenset(
    (
        *("test", "tests", "total", "run", "runs", "example", "examples", "spec", "specs", "completed", "executed"),
        *("test case", "test cases", "doctest", "doctests", "property", "properties"),
    )
)
_NUMBER_FIRST: Final = re.compile(r"(?<![\w.])(\d{1,9}) ([A-Za-z]{1,20}(?: [a-z]{1,20}){0,2})\b")
_WORD_FIRST: Final = re.compile(r"\b([A-Za-z]{1,20})[:=] *(\d{1,9})\b")


class Counts(NamedTuple):
    """The tests of a run, or of a part of it."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def executed(self) -> int:
        """The tests that were not skipped."""
        return self.passed + self.failed

    def plus(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        parts = [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.passed} passed"] if self.passed or not (self.failed or self.skipped) else []
        parts += [f"{self.skipped} skipped"] if self.skipped else []
        return ", ".join(parts)


def counts_of(text: str, *, word_first: bool = False) -> Counts:
    """Return what ``text`` counts: ``3 passed, 1 skipped``, or with ``word_first`` ``Tests: 4, Skipped: 1``.

    If it has no number of passed tests, those are the rest of the total.
    """
    found = {"passed": 0, "failed": 0, "skipped": 0, "total": 0}
    kinds = set()
    for first, second in (_WORD_FIRST if word_first else _NUMBER_FIRST).findall(text):
        number, words = (second, first) if word_first else (first, second)
        if kind := _kind_of(words.lower()):
            found[kind] += int(number)
            kinds.add(kind)
    passed = found["passed"]
    if "passed" not in kinds:
        passed = max(0, found["total"] - found["failed"] - found["skipped"])
    return Counts(passed, found["failed"], found["skipped"])


def _kind_of(words: str) -> str:
    """Return what the words behind a number count: all of them, or else one of them, a later one first."""
    parts = words.split()
    for candidate in (words, " ".join(parts[:2]), *reversed(parts)):
        for kind, known in (("passed", _PASSED), ("failed", _FAILED), ("skipped", _SKIPPED), ("total", _TOTAL)):
            if candidate in known:
                return kind
    return ""
