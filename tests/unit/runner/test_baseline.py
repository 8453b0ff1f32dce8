"""Which failures the baseline excuses. Whatever cannot be proved counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.runner.gate.baseline import Baseline, Comparison, RunFacts, compare
from kiro_worker.runner.gate.branch_tests import BranchTests
from kiro_worker.runner.gate.cases import CaseResults, Identity

FILES = ("tests/test_old.py", "tests/test_new.py", "shop.py")
OLD, NEW = Identity("", "tests.test_old", "test_a"), Identity("", "tests.test_new", "test_b")
OTHER = Identity("", "tests.test_old", "test_other")


def facts(exit_code: int | None = None, unreported: int = 0, **results: str) -> RunFacts:
    """The facts of a run in which ``old``, ``new`` and ``other`` have the given results, several after blanks."""
    tests = {"old": OLD, "new": NEW, "other": OTHER}
    cases = CaseResults({tests[name]: Counter(result.split()) for name, result in results.items()})
    code = (1 if cases.failing else 0) if exit_code is None else exit_code
    return RunFacts(cases, code, is_explained=bool(cases.failing), unreported=unreported)


def compared(now: RunFacts, before: RunFacts | None, *changed: str) -> Comparison:
    return compare(now, Baseline(before) if before else None, BranchTests(FILES, changed), changed)


def test_failure_from_before_is_excused_and_new_one_is_not() -> None:
    found = compared(facts(old="failure", other="failure"), facts(old="failure", other="passed"))

    assert (found.excused, found.new, found.problem) == ((OLD,), (OTHER,), "")


def test_without_baseline_every_failure_is_new() -> None:
    assert compared(facts(old="failure"), None).new == (OLD,)


def test_test_of_the_branch_is_never_excused() -> None:
    found = compared(facts(new="failure", old="passed"), facts(new="failure", old="passed"), "tests/test_new.py")

    assert (found.excused, found.new) == ((), (NEW,))


def test_without_knowledge_of_the_branch_nothing_is_excused() -> None:
    before = Baseline(facts(old="failure"))

    assert compare(facts(old="failure"), before, None).excused == ()


def test_repeated_name_is_excused_only_if_all_failed() -> None:
    assert compared(facts(old="failure passed"), facts(old="failure passed")).new == (OLD,)
    assert compared(facts(old="failure failure"), facts(old="failure passed")).new == (OLD,)
    assert compared(facts(old="failure failure"), facts(old="failure")).new == (OLD,)
    assert compared(facts(old="failure passed"), facts(old="failure failure")).excused == (OLD,)


def test_new_case_with_a_known_name_is_not_excused() -> None:
    """The known one may be the one that passes now."""
    assert compared(facts(old="passed failure"), facts(old="failure")).new == (OLD,)


def test_flaky_test_is_not_known() -> None:
    before = Baseline(facts(old="failure"), flaky=frozenset({OLD}))

    assert compare(facts(old="failure"), before, BranchTests(FILES, ())).new == (OLD,)


def test_test_of_the_branch_may_not_disappear() -> None:
    before = facts(new="failure", old="passed")
    for now in (facts(old="passed"), facts(new="skipped", old="passed")):
        found = compared(now, before, "tests/test_new.py")
        assert found.missing == (NEW,)
        assert found.vanished == (NEW,)
    assert compared(facts(new="passed", old="passed"), before, "tests/test_new.py").missing == ()


def test_module_that_can_be_imported_now_is_back() -> None:
    module = Identity("", "", "tests.test_new")
    before = RunFacts(CaseResults({module: Counter(["error"])}), 2)

    assert compared(facts(new="passed"), before, "tests/test_new.py").missing == ()
    assert compared(facts(old="passed"), before, "tests/test_new.py").missing == (module,)
    assert compared(facts(new="skipped"), before, "tests/test_new.py").missing == (module,)


def test_vanished_tests_are_reported() -> None:
    found = compared(facts(old="passed"), facts(old="passed", other="passed"))

    assert (found.vanished, found.missing, found.new) == ((OTHER,), (), ())


def test_other_exit_code_excuses_nothing() -> None:
    assert compared(facts(2, old="failure"), facts(1, old="failure")).problem.startswith("the exit code was 1")
    assert compared(facts(0, old="failure"), facts(1, old="failure")).problem == ""
    # Mocha's exit code is the number of failed tests.
    assert compared(facts(1, old="failure"), facts(2, old="failure", other="failure")).problem == ""


def test_failures_outside_the_report_excuse_nothing() -> None:
    assert "1 more failures" in compared(facts(unreported=1, old="failure"), facts(old="failure")).problem
    # A tool that prints its summary twice does so in both runs.
    assert compared(facts(unreported=1, old="failure"), facts(unreported=1, old="failure")).problem == ""
    more = facts(unreported=1, old="failure", other="failure")
    assert compared(facts(unreported=1, old="failure"), more).problem


def test_run_that_ended_early_excuses_nothing() -> None:
    """As with `pytest -x`, which stops at the known failure, before the new tests."""
    found = compared(facts(old="failure"), facts(old="failure"), "tests/test_new.py")

    assert "no test of tests/test_new.py" in found.problem


results = st.dictionaries(
    st.sampled_from([OLD, NEW, OTHER]),
    st.lists(st.sampled_from(["passed", "failure", "error", "skipped"]), min_size=1, max_size=3),
).map(lambda found: CaseResults({identity: Counter(names) for identity, names in found.items()}))


@given(results, results, st.sets(st.sampled_from(FILES)))
def test_every_failure_is_excused_or_counts(now: CaseResults, before: CaseResults, changed: set[str]) -> None:
    tests = BranchTests(FILES, changed)
    found = compare(RunFacts(now, 1), Baseline(RunFacts(before, 1)), tests, changed)

    assert sorted((*found.excused, *found.new)) == list(now.failing)
    for identity in found.excused:
        assert before.failures(identity)
        assert not before.passed(identity)
        assert not tests.must_pass(identity)


def test_check_without_results_knows_nothing() -> None:
    assert replace(Baseline(), problem="no test ran").failing == ()
