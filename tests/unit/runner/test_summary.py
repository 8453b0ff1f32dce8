"""Summaries as the usual test runners print them."""

from __future__ import annotations

import pytest

from kiro_worker.runner.gate.summary import last_failure, nothing_ran, summary_of


@pytest.mark.parametrize(
    ("output", "summary"),
    [
        ("Ran 7 tests in 0.002s\n\nOK", "Ran 7 tests in 0.002s"),
        ("....\n4 passed in 0.12s", "4 passed in 0.12s"),
        ("===== 1 failed, 3 passed, 2 warnings in 1.20s =====", "1 failed, 3 passed, 2 warnings in 1.20s"),
        ("Tests:       1 failed, 2 passed, 3 total\nTime: 1 s", "Tests:       1 failed, 2 passed, 3 total"),
        ("  12 passing (40ms)", "12 passing (40ms)"),
        ("ok  \texample.com/x\t0.003s", "ok  \texample.com/x\t0.003s"),
        ("test result: ok. 3 passed; 0 failed; 0 ignored", "test result: ok. 3 passed; 0 failed; 0 ignored"),
        (
            "[INFO] Tests run: 5, Failures: 0, Errors: 0, Skipped: 0",
            "[INFO] Tests run: 5, Failures: 0, Errors: 0, Skipped: 0",
        ),
        ("hello", ""),
    ],
)
def test_runners_summary_is_found(output: str, summary: str) -> None:
    assert summary_of(output.splitlines()) == summary
    assert not nothing_ran(output.splitlines())


@pytest.mark.parametrize(
    "output",
    [
        "Ran 0 tests in 0.000s\n\nOK",
        "Ran 3 tests in 0.001s\n\nOK (skipped=3)",
        "no tests ran in 0.01s",
        "===== 3 skipped, 1 warning in 0.02s =====",
        "2 deselected in 0.01s",
        "ℹ tests 0\nok",  # noqa: RUF001  # as node prints
        "Tests:       3 skipped, 3 total",
        "  0 passing (1ms)\n  2 pending",
        "      Tests  2 skipped (2)",
        "ok  \texample.com/x\t0.003s [no tests to run]",
        "?   \texample.com/x\t[no test files]",
        "test result: ok. 0 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        "> Task :test NO-SOURCE\n\nBUILD SUCCESSFUL in 1s",
    ],
)
def test_run_without_tests_is_recognised(output: str) -> None:
    assert nothing_ran(output.splitlines())


@pytest.mark.parametrize(
    "output",
    [
        "Ran 3 tests in 0.001s\n\nOK (skipped=2)",
        "1 passed, 3 skipped in 0.02s",
        "1 xfailed in 0.02s",
        "Tests:       1 skipped, 1 passed, 2 total",
        "?   \texample.com/x\t[no test files]\nok  \texample.com/y\t0.003s",
        "      Tests  1 passed | 2 skipped (3)",
        "> Task :lib:test NO-SOURCE\ntest result: ok. 1 passed; 0 failed; 0 ignored",
    ],
)
def test_one_test_is_enough(output: str) -> None:
    assert not nothing_ran(output.splitlines())


@pytest.mark.parametrize(
    ("output", "failure"),
    [
        ("1 failed, 3 passed in 0.1s\n3 passed in 0.1s", "1 failed, 3 passed in 0.1s"),
        ("Ran 2 tests in 0.001s\n\nFAILED (failures=1)", "FAILED (failures=1)"),
        ("== 1 failed in 0.1s ==\n== 2 failed in 0.1s ==", "2 failed in 0.1s"),
        ("FAIL\texample.com/x\t0.003s", "FAIL\texample.com/x\t0.003s"),
        ("I once failed, 3 passed in 0.1s", ""),
        ("Ran 2 tests in 0.001s\n\nOK", ""),
    ],
)
def test_last_failure_is_found(output: str, failure: str) -> None:
    assert last_failure(output.splitlines()) == failure
