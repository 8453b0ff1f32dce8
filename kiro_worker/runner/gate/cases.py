"""The result of each test of a run, by the test's identity.

Two runs of the same tests are compared by these identities: which tests fail now that did not fail before, and which
ones no longer run. A report's names come from the repository, so they can be anything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

ERROR: Final = "error"
FAILURE: Final = "failure"
SKIPPED: Final = "skipped"
PASSED: Final = "passed"
_RAN: Final = (ERROR, FAILURE, PASSED)


class Identity(NamedTuple):
    """A test as JUnit XML names it. ``file`` and ``classname`` are often empty; parameters are part of ``name``."""

    file: str
    classname: str
    name: str

    def __str__(self) -> str:
        shown = ".".join(filter(None, (self.classname, self.name)))
        if self.file and not self.classname:
            shown = ": ".join(filter(None, (self.file, self.name)))
        return shown or "an unnamed test"

    @property
    def is_collection(self) -> bool:
        """Whether this is how pytest reports a module that it cannot import: without a class."""
        return not self.classname and bool(self.name)


class CaseResult(NamedTuple):
    """One case of a report. ``text`` is the end of what it says about its failure."""

    identity: Identity
    result: str
    text: str = ""


@dataclass(frozen=True)
class CaseResults:
    """The results of a run. A test counts as often as it has a case, because names can repeat.

    ``unnamed_failures`` is how many failures the report's totals claim beyond its cases.
    """

    results: Mapping[Identity, Counter[str]] = field(default_factory=dict)
    texts: Mapping[Identity, str] = field(default_factory=dict, repr=False)
    unnamed_failures: int = 0

    def failures(self, identity: Identity) -> int:
        """Return how often the test failed."""
        found = self.results.get(identity, Counter())
        return found[ERROR] + found[FAILURE]

    def always_failed(self, identity: Identity) -> bool:
        """Return whether every case of that name failed. If some passed, it is not known which of them failed."""
        found = self.results.get(identity, Counter())
        return 0 < self.failures(identity) == found.total()

    def passed(self, identity: Identity) -> bool:
        """Return whether the test ran, and no case of that name failed."""
        found = self.results.get(identity, Counter())
        return found[PASSED] > 0 and not self.failures(identity)

    def ran(self, identity: Identity) -> bool:
        """Return whether the test ran, with whatever result."""
        found = self.results.get(identity, Counter())
        return any(found[result] for result in _RAN)

    @property
    def failing(self) -> tuple[Identity, ...]:
        """The tests that failed at least once, sorted."""
        return tuple(sorted(identity for identity in self.results if self.failures(identity)))

    @property
    def number_of_failures(self) -> int:
        """How many cases failed."""
        return sum(map(self.failures, self.results))
