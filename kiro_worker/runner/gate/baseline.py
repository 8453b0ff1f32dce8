"""The baseline: what the tests showed before the agent started, and which failures it excuses afterwards.

A failure is excused only if the same test failed before, the branch did not add or change it, and nothing else than
failing tests can be why the run failed. Whatever cannot be proved counts: work that is pushed although its tests fail
is the worst that can happen.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.runner.gate.cases import CaseResults
from kiro_worker.runner.sandbox.printable import listed, printable_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from kiro_worker.runner.gate.branch_tests import BranchTests
    from kiro_worker.runner.gate.cases import Identity

_NOTHING: Final = CaseResults()
MOST_NAMES: Final = 50


@dataclass(frozen=True)
class RunFacts:
    """What two runs are compared by.

    ``is_explained`` means that failing cases, and nothing else, can be why the run failed. ``unreported`` is how many
    more failures the output counts than the report has, and ``parts_failed`` how many files, suites or packages failed.
    """

    cases: CaseResults = _NOTHING
    exit_code: int | None = None
    is_explained: bool = False
    unreported: int = 0
    parts_failed: int = 0


@dataclass(frozen=True)
class Baseline:
    """The run of one check on the pinned commit. ``flaky`` are the tests that failed, and passed when run again.

    ``problem`` says why it cannot excuse any failure, although it is no failure itself: no test ran.
    """

    facts: RunFacts = field(default_factory=RunFacts)
    flaky: frozenset[Identity] = frozenset()
    problem: str = ""
    summary: str = ""

    @property
    def failing(self) -> tuple[Identity, ...]:
        """The tests that failed, also when they were run again."""
        return tuple(each for each in self.facts.cases.failing if each not in self.flaky)

    def to_dict(self, check: str) -> dict[str, Any]:
        """Return an entry of ``baseline.checks`` in ``result.json``."""
        return {
            "check": check,
            "summary": self.summary,
            "exitCode": self.facts.exit_code,
            "failing": shortened(names_of(self.failing)),
            "flaky": shortened(names_of(sorted(self.flaky))),
            "problem": self.problem,
        }

    def knows(self, identity: Identity, number: int) -> bool:
        """Return whether the test never passed, and had at least the ``number`` of cases that it has now.

        Of more cases, with one name, it is not known which failed before.
        """
        cases = self.facts.cases
        return identity not in self.flaky and cases.always_failed(identity) and number <= cases.failures(identity)


@dataclass(frozen=True)
class Comparison:
    """A run of the tests compared with the baseline.

    ``excused`` are the failures that do not count, and ``new`` those that do. ``missing`` are tests that the branch
    added or changed, that failed before, and that did not run now. ``vanished`` are those that ran before and not now.
    ``problem`` says why no failure can be excused in this run; empty if there is no such reason.
    """

    excused: tuple[Identity, ...] = ()
    new: tuple[Identity, ...] = ()
    missing: tuple[Identity, ...] = ()
    vanished: tuple[Identity, ...] = ()
    problem: str = ""


def compare(
    now: RunFacts, before: Baseline | None, tests: BranchTests | None, changed: Collection[str] = ()
) -> Comparison:
    """Return what is new in the run ``now``. Without a baseline, every failure is.

    ``tests`` are the branch's; ``changed`` are all files that the branch and the work add or change.
    """
    failing = now.cases.failing
    before = before or Baseline()
    excused = tuple(
        each
        for each in failing
        if before.knows(each, now.cases.results[each].total()) and not (tests is None or tests.must_pass(each))
    )
    vanished = tuple(
        each
        for each in sorted(before.facts.cases.results)
        if before.facts.cases.ran(each) and not now.cases.ran(each) and not each.is_collection
    )
    return Comparison(
        excused,
        tuple(each for each in failing if each not in set(excused)),
        _missing(now, before, tests),
        vanished,
        _problem(now, before, excused, tests, changed) if failing else "",
    )


def _missing(now: RunFacts, before: Baseline, tests: BranchTests | None) -> tuple[Identity, ...]:
    wanted = [each for each in before.failing if tests is None or tests.must_pass(each)]
    passed = [each for each in now.cases.results if now.cases.passed(each)]

    def is_back(identity: Identity) -> bool:
        if now.cases.failures(identity) or now.cases.passed(identity):
            return True
        # A module that could not be imported is no longer in the report once it can be: its tests are.
        module = identity.name
        return identity.is_collection and any(
            each.classname == module or each.classname.startswith(f"{module}.") for each in passed
        )

    return tuple(each for each in wanted if not is_back(each))


def _problem(
    now: RunFacts,
    before: Baseline,
    excused: tuple[Identity, ...],
    tests: BranchTests | None,
    changed: Collection[str],
) -> str:
    """Return why a failure cannot be excused: something else than the known tests may have failed, or did not run."""
    known = before.facts
    if excused and now.exit_code not in (0, known.exit_code, now.cases.number_of_failures):
        return f"the exit code was {known.exit_code} before the work and is {now.exit_code} now"
    is_same = _failures(now.cases) == _failures(known.cases)
    if now.unreported and not (is_same and now.unreported == known.unreported):
        return f"the output counts {now.unreported} more failures than the report has"
    # One of them is that of a known test. Another one may be a file of tests that cannot be loaded.
    if excused and now.parts_failed > 1 and not (is_same and now.parts_failed <= known.parts_failed):
        return f"{now.parts_failed} files, suites or packages failed, and not only the known tests may be why"
    ran = [each for each in now.cases.results if now.cases.ran(each) and not each.is_collection]
    if tests and (silent := tests.without_test_in(ran, changed)):
        return f"the report has no test of {listed(silent, printable_name, 3)}, so the run may have ended early"
    return ""


def _failures(cases: CaseResults) -> Counter[Identity]:
    return Counter({each: cases.failures(each) for each in cases.failing})


def names_of(identities: Iterable[Identity], prefix: str = "") -> tuple[str, ...]:
    """Return the names of tests for people; ``prefix`` is the name of their check, if there are several."""
    start = f"{prefix}: " if prefix else ""
    return tuple(printable_name(f"{start}{each}") for each in identities)


def shortened(names: Sequence[str]) -> list[str]:
    """Return the first of the names, and how many more there are."""
    more = len(names) - MOST_NAMES
    return [*names[:MOST_NAMES], *([f"and {more} more"] if more > 0 else [])]
