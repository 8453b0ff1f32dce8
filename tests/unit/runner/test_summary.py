"""Summaries as the usual test runners print them."""
# ruff: noqa: E501  # outputs are lines

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.runner.gate.summaries.formats import FORMATS
from kiro_worker.runner.gate.summaries.summaries import LONGEST_LINE, Summaries
from kiro_worker.runner.sandbox.output import Lines

NODE = "ℹ tests {}\nℹ suites 0\nℹ pass {}\nℹ fail {}\nℹ cancelled 0\nℹ skipped {}\nℹ todo {}\nℹ duration_ms 392.5"  # noqa: RUF001  # as node prints
NODE_TAP = "# tests {}\n# suites 0\n# pass {}\n# fail {}\n# cancelled 0\n# skipped {}\n# todo 0\n# duration_ms 392.5"
CARGO = "running {} tests\n\ntest result: {}. {} passed; {} failed; {} ignored; 0 measured; 0 filtered out; finished in 0.00s"
SUREFIRE = "[INFO] Tests run: {0}, Failures: {1}, Errors: 0, Skipped: {2}, Time elapsed: 0.03 s - in ShopTest\n[INFO] Results:\n[{3}] Tests run: {0}, Failures: {1}, Errors: 0, Skipped: {2}"
JUNIT = "[{:10} tests found           ]\n[{:10} tests skipped         ]\n[{:10} tests successful      ]\n[{:10} tests failed          ]"

# (tool, output, failed, passed, skipped)
OUTPUTS = [
    ("pytest", "....\n4 passed in 0.12s", 0, 4, 0),
    ("pytest -v", "=== test session starts ===\n===== 1 failed, 3 passed, 2 warnings in 1.20s =====", 1, 3, 0),
    ("pytest, long", "= 2 errors, 1 xfailed, 1 xpassed, 1 rerun, 9 deselected in 62.00s (0:01:02) =", 2, 2, 0),
    ("pytest, subtests", "1 passed, 2 skipped, 3 subtests passed in 0.02s", 0, 4, 2),
    ("pytest, skipped", "===== 3 skipped, 1 warning in 0.02s =====", 0, 0, 3),
    ("pytest, deselected", "2 deselected in 0.01s", 0, 0, 0),
    ("pytest, none", "no tests ran in 0.01s", 0, 0, 0),
    ("pytest --collect-only", "========== 3 tests collected in 3.05s ==========", 0, 0, 0),
    ("unittest", "Ran 7 tests in 0.002s\n\nOK", 0, 7, 0),
    ("unittest, failed", "Ran 5 tests in 0.002s\n\nFAILED (failures=1, errors=1, skipped=1)", 2, 2, 1),
    ("unittest, expected", "Ran 2 tests in 0.001s\n\nOK (skipped=1, expected failures=1)", 0, 1, 1),
    ("unittest, unexpected", "Ran 1 test in 0.001s\n\nFAILED (unexpected successes=1)", None, 1, 0),
    ("unittest, skipped", "Ran 3 tests in 0.001s\n\nOK (skipped=3)", 0, 0, 3),
    ("unittest, skipped class", "Ran 0 tests in 0.000s\n\nOK (skipped=1)", 0, 0, 1),
    ("unittest -v, skipped class", "setUpClass (a.S) ... skipped 'no'\nRan 1 test in 0.001s\n\nOK (skipped=1)", 0, 1, 1),
    ("unittest, none", "Ran 0 tests in 0.000s\n\nNO TESTS RAN", 0, 0, 0),
    ("AVA", "  ✔ one\n  ─\n\n  1 test passed\n  1 known failure\n  1 test skipped\n  1 test todo", 0, 2, 2),
    ("AVA, failed", "  ─\n\n  2 tests failed\n  1 uncaught exception", 3, 0, 0),
    ("AVA, skipped", "  - [skip] one\n  ─\n\n  1 test skipped", 0, 0, 1),
    ("AVA --tap", "TAP version 13\nok 1 - a # SKIP\nnot ok 2 - b # TODO\nok 3 - c\n\n1..3\n# tests 2\n# pass 1\n# skip 1\n# fail 1", 0, 1, 2),
    ("TAP", "1..2\nok 1 - one\nok 2 - two # skip no network", 0, 1, 1),
    ("TAP 14", "TAP version 14\n# Subtest: s\n    ok 1 - x\n    1..1\nok 1 - s\nnot ok 2\n1..2", 1, 1, 0),
    ("TAP, bail out", "TAP version 13\nok 1 a\nBail out! no database\n1..1", 1, 1, 0),
    ("TAP, skipped", "1..0 # SKIP nothing to do\nTAP version 13", 0, 0, 0),
    ("tape", "TAP version 13\n# one\nok 1 should be truthy\n\n1..1\n# tests 1\n# pass  1\n\n# ok", 0, 1, 0),
    ("mocha -R tap", "ok 1 one\nok 2 two # SKIP -\n# tests 1\n# pass 1\n# fail 0\n1..2", 0, 1, 1),
    ("prove", "All tests successful.\nFiles=2, Tests=5,  0 wallclock secs ( 0.02 usr )\nResult: PASS", 0, 5, 0),
    ("prove, failed", "Files=2, Tests=5,  0 wallclock secs ( 0.02 usr )\nResult: FAIL", None, 5, 0),
    ("prove, none", "Files=0, Tests=0,  0 wallclock secs ( 0.02 usr )\nResult: NOTESTS", 0, 0, 0),
    ("node --test", "✔ one (2.2ms)\n﹣ two (0.3ms) # SKIP\n" + NODE.format(4, 2, 0, 1, 1), 0, 2, 2),
    ("node --test, failed", "✖ one (2.2ms)\n" + NODE.format(1, 0, 1, 0, 0), 1, 0, 0),
    ("node --test, none", NODE.format(0, 0, 0, 0, 0), 0, 0, 0),
    ("node --test, exits", "✔ /srv/a.test.js (184.7ms)\n" + NODE.format(1, 1, 0, 0, 0), 0, 0, 0),
    ("node --test, one of two exits", "✔ one (1ms)\n✔ test/b.test.mjs (9ms)\n" + NODE.format(2, 2, 0, 0, 0), 0, 1, 0),
    ("node, tap", "TAP version 13\n# Subtest: one\nok 1 - one\n  ---\n  duration_ms: 2\n  ...\n1..1\n" + NODE_TAP.format(1, 1, 0, 0), 0, 1, 0),
    ("node, tap, exits", "TAP version 13\n# Subtest: /a.test.js\nok 1 - /a.test.js\n1..1\n" + NODE_TAP.format(1, 1, 0, 0), 0, 0, 0),
    ("node 18, tap", "TAP version 13\n# Subtest: /a.test.js\n    ok 1 - one\n    1..1\nok 1 - /a.test.js\n1..1", 0, 1, 0),
    ("node, tap, none", "TAP version 13\n1..0\n" + NODE_TAP.format(0, 0, 0, 0), 0, 0, 0),
    ("vitest", " RUN  v2.1.9 /srv\n\n Test Files  1 passed (1)\n      Tests  1 passed | 1 skipped | 1 todo (3)", 0, 1, 2),
    ("vitest, failed", " Test Files  1 failed (1)\n      Tests  1 failed | 1 passed (2)", 1, 1, 0),
    ("vitest, suite failed", " Test Files  1 failed | 1 passed (2)\n      Tests  1 passed (1)", None, 1, 0),
    ("vitest, error", " Test Files  1 passed (1)\n      Tests  1 passed (1)\n     Errors  1 error", None, 1, 0),
    ("vitest, skipped", " Test Files  1 skipped (1)\n      Tests  1 skipped | 1 todo (2)", 0, 0, 2),
    ("vitest, none", " RUN  v2.1.9 /srv\nNo test files found, exiting with code 0", 0, 0, 0),
    ("jest", "Test Suites: 1 passed, 1 total\nTests:       1 skipped, 1 todo, 1 passed, 3 total", 0, 1, 2),
    ("jest, failed", "Tests:       1 failed, 2 passed, 3 total\nTime: 1 s", 1, 2, 0),
    ("jest, suite failed", "Test Suites: 1 failed, 1 passed, 2 total\nTests:       1 passed, 1 total", None, 1, 0),
    ("jest, skipped", "Test Suites: 1 skipped, 0 of 1 total\nTests:       1 skipped, 1 total", 0, 0, 1),
    ("jest, none", "No tests found, exiting with code 0", 0, 0, 0),
    ("mocha", "  12 passing (40ms)\n  2 pending", 0, 12, 2),
    ("mocha, failed", "  0 passing (5ms)\n  1 failing\n\n  1) one:", 1, 0, 0),
    ("mocha, skipped", "  0 passing (1ms)\n  2 pending", 0, 0, 2),
    ("uvu", "• •   (2 / 2)\n\n  Total:     3\n  Passed:    3\n  Skipped:   1\n  Duration:  0.85ms", 0, 3, 1),
    ("uvu, none", "\n  Total:     0\n  Passed:    0\n  Skipped:   0\n  Duration:  0.85ms", 0, 0, 0),
    ("tap-spec", "\n  total:     2\n  passing:   1\n  failing:   1\n  duration:  8ms", 1, 1, 0),
    ("tap-arc", "total:     1\npassing:   1\n262 ms", 0, 1, 0),
    ("tap-dot", "\n  .  \n\n  1 tests\n  1 passed\n\n  Pass!", 0, 1, 0),
    ("tap-min", "1 test complete (64ms)", 0, 1, 0),
    ("tap-difflet", "  a\n    ✓ should be strictly equal\n\n1 passing (13ms)", 0, 1, 0),
    ("nodeunit", "a\n✔ a\n\nOK: 2 assertions (23ms)", 0, 2, 0),
    ("ospec", "––––––\nThe 1 assertion passed", 0, 1, 0),  # noqa: RUF001  # as ospec prints
    ("phpspec", "1 specs\n3 examples (1 passed, 1 failed, 1 skipped)\n10ms", 1, 1, 1),
    ("lab", "1 tests complete (1 skipped)\nTest duration: 4 ms\nLeaks: No issues", 0, 1, 1),
    ("lab, failed", "1 of 2 tests failed (1 skipped)\nTest duration: 50 ms", 1, 1, 1),
    ("Playwright", "  1 flaky\n  1 skipped\n  3 passed (1.2s)", 0, 3, 1),
    ("Playwright, failed", "  1 failed\n    a.spec.ts:3:1\n  3 passed (1.2s)", 1, 3, 0),
    ("bun", "bun test v1.4.5 (a7733435c)\n 1 pass\n 1 skip\n 1 todo\n 0 fail\nRan 3 tests across 1 file. [11.00ms]", 0, 1, 2),
    ("bun, failed", " 1 pass\n 1 fail\nRan 2 tests across 1 file. [11.00ms]", 1, 1, 0),
    ("bun, skipped", " 0 pass\n 1 skip\n 0 fail\nRan 1 test across 1 file. [9.00ms]", 0, 0, 1),
    ("deno", "running 2 tests from ./a.test.ts\nok | 3 passed (1 step) | 0 failed | 1 ignored (48ms)", 0, 3, 1),
    ("deno, failed", "FAILED | 2 passed | 1 failed (5ms)", 1, 2, 0),
    ("deno, skipped", "ok | 0 passed | 0 failed | 1 ignored (18ms)", 0, 0, 1),
    ("cargo, last binary empty", f"{CARGO.format(3, 'ok', 2, 0, 1)}\n{CARGO.format(0, 'ok', 0, 0, 0)}", 0, 2, 1),
    ("cargo, failed", CARGO.format(1, "FAILED", 0, 1, 0), 1, 0, 0),
    ("cargo, none", f"{CARGO.format(2, 'ok', 0, 0, 2)}\n{CARGO.format(0, 'ok', 0, 0, 0)}", 0, 0, 2),
    ("nextest", "    Starting 3 tests across 2 binaries\n     Summary [   0.012s] 3 tests run: 3 passed (1 slow), 1 skipped", 0, 3, 1),
    ("nextest, failed", "     Summary [1898.924s] 40/45 tests run: 21 passed (18 slow), 4 failed, 15 timed out, 6 skipped", 19, 21, 6),
    ("nextest, none", "     Summary [   0.000s] 0 tests run: 0 passed, 3 skipped", 0, 0, 3),
    ("go, packages", "ok  \texample.com/x/a\t0.003s\n?   \texample.com/x/b\t[no test files]\nok  \texample.com/x/c\t(cached)", 0, 2, 0),
    ("go, failed", "--- FAIL: TestA (0.00s)\nFAIL\nFAIL\texample.com/x\t0.003s\nFAIL", 1, 0, 0),
    ("go, build failed", "FAIL\texample.com/x [build failed]\nFAIL", 1, 0, 0),
    ("go, none", "ok  \texample.com/x\t0.003s [no tests to run]\n\texample.com/y\t\tcoverage: 0.0% of statements", 0, 0, 0),
    ("go -v", "=== RUN   TestA\nhello--- PASS: TestA (0.00s)\n    --- PASS: TestA/sub (0.00s)\n--- SKIP: TestS (0.00s)\nPASS\nok  \tx/a\t0.012s\tcoverage: 100.0% of statements", 0, 1, 1),
    ("go -v, skipped", "=== RUN   TestS\n--- SKIP: TestS (0.00s)\nPASS\nok  \tx/d\t0.003s\nok  \tx/exits\t0.003s", 0, 0, 1),
    ("go -json", '{"Action":"run","Package":"x","Test":"TestA"}\n{"Action":"pass","Package":"x","Test":"TestA/sub","Elapsed":0}\n{"Action":"pass","Package":"x","Test":"TestA","Elapsed":0}\n{"Action":"skip","Package":"x","Test":"TestS"}\n{"Action":"pass","Package":"x"}', 0, 1, 1),
    ("go -json, failed", '{"Action":"fail","Package":"x","Test":"TestA"}\n{"Action":"fail","Package":"x"}', 1, 0, 0),
    ("go -json, build failed", '{"Action":"fail","Package":"x","Elapsed":0}', None, 0, 0),
    ("gotestsum", "✓  x (1ms)\n\nDONE 2 runs, 3 tests, 1 skipped, 1 failure in 0.512s", 1, 1, 1),
    ("Maven", SUREFIRE.format(5, 0, 1, "WARNING"), 0, 4, 1),
    ("Maven, failed", SUREFIRE.format(5, 2, 0, "ERROR"), 2, 3, 0),
    ("Maven, two modules", f"{SUREFIRE.format(5, 0, 0, 'INFO')}\n{SUREFIRE.format(2, 0, 0, 'INFO')}", 0, 7, 0),
    ("Maven, flaky", "[ERROR] Tests run: 1, Failures: 1, Errors: 0, Skipped: 0, Time elapsed: 0.1 s <<< FAILURE!\n[INFO] Tests run: 1, Failures: 0, Errors: 0, Skipped: 0, Flakes: 1", 0, 1, 0),
    ("Maven, none", "[INFO] No tests to run.", 0, 0, 0),
    ("Maven, skipped", "[INFO] Tests are skipped.", 0, 0, 0),
    ("Gradle, failed", "3 tests completed, 1 failed, 1 skipped\n\n> Task :test FAILED", 1, 1, 1),
    ("Gradle, none", "> Task :test NO-SOURCE\n\nBUILD SUCCESSFUL in 1s", 0, 0, 0),
    ("gradle-test-logger", "SUCCESS: Executed 3 tests in 1.2s (1 skipped)", 0, 2, 1),
    ("JUnit 5", JUNIT.format(4, 1, 2, 1), 1, 2, 1),
    ("JUnit 4", "OK (3 tests)", 0, 3, 0),
    ("TestNG", "Total tests run: 4, Passes: 2, Failures: 1, Skips: 1", 1, 2, 1),
    ("sbt", "[info] Passed: Total 3, Failed 0, Errors 0, Passed 2, Skipped 1", 0, 2, 1),
    ("PHPUnit", "PHPUnit 9.6.7 by Sebastian Bergmann and contributors.\n\nOK (3 tests, 5 assertions)", 0, 3, 0),
    ("PHPUnit, failed", "FAILURES!\nTests: 4, Assertions: 5, Errors: 1, Failures: 1, Skipped: 1.", 2, 1, 1),
    ("PHPUnit, issues", "OK, but there were issues!\nTests: 6, Assertions: 6, PHPUnit Deprecations: 3, Incomplete: 1.", 0, 5, 1),
    ("PHPUnit, skipped", "OK, but some tests were skipped!\nTests: 2, Assertions: 0, Skipped: 2.", 0, 0, 2),
    ("PHPUnit, none", "PHPUnit 9.6.7 by Sebastian Bergmann and contributors.\n\nNo tests executed!", 0, 0, 0),
    ("Pest", "  Tests:    1 failed, 1 skipped, 2 passed (4 assertions)", 1, 2, 1),
    ("RSpec", "3 examples, 0 failures, 1 pending", 0, 2, 1),
    ("RSpec, error", "0 examples, 0 failures, 1 error occurred outside of examples", 1, 0, 0),
    ("RSpec, none", "No examples found.\n\n0 examples, 0 failures", 0, 0, 0),
    ("minitest", "# Running:\n\n3 runs, 5 assertions, 1 failures, 0 errors, 1 skips", 1, 1, 1),
    ("test-unit", "3 tests, 5 assertions, 0 failures, 0 errors, 0 pendings, 1 omissions, 0 notifications", 0, 2, 1),
    ("ExUnit", "1 doctest, 3 tests, 1 failure, 1 skipped", 1, 2, 1),
    ("Cucumber", "1 feature\n4 scenarios (1 skipped, 1 failed, 2 passed)\n6 steps (6 passed)", 1, 2, 1),
    ("Jasmine", "3 specs, 1 failure, 1 pending spec", 1, 1, 1),
    (".NET", "Passed!  - Failed:     0, Passed:     3, Skipped:     1, Total:     4, Duration: 4 ms - a.dll (net8.0)", 0, 3, 1),
    (".NET, failed", "Failed!  - Failed:     1, Passed:     2, Skipped:     0, Total:     3, Duration: 4 ms - a.dll", 1, 2, 0),
    (".NET, skipped", "Skipped! - Failed:     0, Passed:     0, Skipped:     3, Total:     3, Duration: 4 ms - a.dll", 0, 0, 3),
    (".NET, normal", "Test Run Failed.\nTotal tests: 4\n     Passed: 2\n     Failed: 1\n    Skipped: 1\n Total time: 1.2 Seconds", 1, 2, 1),
    (".NET, terminal logger", "Test summary: total: 4, failed: 0, succeeded: 3, skipped: 1, duration: 1.2s", 0, 3, 1),
    (".NET, platform", "Test run summary: Passed!\n  total: 4\n  failed: 0\n  succeeded: 3\n  skipped: 1\n  duration: 1s", 0, 3, 1),
    ("xUnit", "   Shop.Tests  Total: 4, Errors: 0, Failed: 1, Skipped: 1, Time: 0.777s", 1, 2, 1),
    (".NET, none", "No test is available in /srv/a.dll. Make sure that …", 0, 0, 0),
    ("XCTest", "\t Executed 1 test, with 0 failures (0 unexpected) in 0.0 (0.0) seconds\n\t Executed 3 tests, with 1 test skipped and 1 failure (0 unexpected) in 0.0 (0.0) seconds", 1, 1, 1),
    ("XCTest and Swift Testing", "\t Executed 2 tests, with 0 failures (0 unexpected) in 0.0 seconds\n✔ Test run with 0 tests in 0 suites passed after 0.001 seconds.", 0, 2, 0),
    ("Swift Testing", "✔ Test run with 3 tests in 1 suite passed after 0.001 seconds.", 0, 3, 0),
    ("Swift Testing, failed", "✘ Test run with 3 tests failed after 0.001 seconds with 1 issue.", None, 0, 0),
    ("ctest", "100% tests passed, 0 tests failed out of 2\n\nThe following tests did not run:\n\t  2 - b (Skipped)\n\t  3 - c (Disabled)", 0, 1, 1),
    ("ctest, failed", "67% tests passed, 1 tests failed out of 3", 1, 2, 0),
    ("ctest, none", "No tests were found!!!", 0, 0, 0),
    ("GoogleTest", "[==========] Running 4 tests from 1 test suite.\n[  PASSED  ] 2 tests.\n[  SKIPPED ] 1 test, listed below:\n[  FAILED  ] 1 test, listed below:", 1, 2, 1),
    ("Catch2", "All tests passed (5 assertions in 3 test cases)", 0, 3, 0),
    ("doctest", "[doctest] test cases:  4 |  2 passed | 1 failed | 1 skipped", 1, 2, 1),
    ("plain", "Totals: 3 passed, 1 failed, 1 skipped", 1, 3, 1),
    ("turbo", "web:test: Tests:       1 failed, 2 passed, 3 total", 1, 2, 0),
    ("pnpm -r", "packages/web test:       Tests  3 passed (3)", 0, 3, 0),
]  # fmt: skip


def summaries_of(output: str) -> Summaries:
    return Summaries.of(output.splitlines())


@pytest.mark.parametrize(
    ("output", "failed", "passed", "skipped"), [row[1:] for row in OUTPUTS], ids=[row[0] for row in OUTPUTS]
)
def test_summary_is_read(output: str, failed: int | None, passed: int, skipped: int) -> None:
    """``failed`` is None for a tool that reports a failure without a number."""
    summaries = summaries_of(output)

    assert summaries.found
    assert summaries.counts == (passed, failed or 0, skipped)
    assert bool(summaries.failure) == (failed != 0), summaries.failure
    assert summaries.text


def test_every_format_is_tested() -> None:
    lines = [line for row in OUTPUTS for line in row[1].splitlines()]
    lines += ["      Tests  no tests", "Result: FAIL"]

    assert [each.pattern for each in FORMATS if not any(re.match(each.pattern, line.rstrip()) for line in lines)] == []


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("Ran 7 tests in 0.002s\n\nOK", "Ran 7 tests in 0.002s"),
        ("===== 1 failed, 3 passed, 2 warnings in 1.20s =====", "1 failed, 3 passed, 2 warnings in 1.20s"),
        ("  12 passing (40ms)\n  2 pending", "12 passed, 2 skipped"),
        ("ok  \tx/a\t0.003s", "ok x/a 0.003s"),
        ("> Task :a:test NO-SOURCE\nOK (3 tests)", "OK (3 tests)"),
        ("ok  \tx/a\t0.003s\nok  \tx/b\t0.003s", "2 packages passed"),
        ("1 passed in 1s\nTests:       2 passed, 2 total", "1 passed in 1s; Tests: 2 passed, 2 total"),
        ("hello", ""),
    ],
)
def test_summary_is_shown(output: str, text: str) -> None:
    assert summaries_of(output).text == text


@pytest.mark.parametrize(
    ("output", "failure"),
    [
        ("1 failed, 3 passed in 0.1s\n3 passed in 0.1s", "1 failed, 3 passed in 0.1s"),
        ("3 passed in 0.1s\nTests: 1 failed, 1 total\n3 passed in 0.1s", "Tests: 1 failed, 1 total"),
        ("Ran 2 tests in 0.001s\n\nFAILED (failures=1)", "FAILED (failures=1)"),
        ("FAILED (failures=1)", "FAILED (failures=1)"),
        ("test result: FAILED. 1 passed", "test result: FAILED. 1 passed"),
        ("== 1 failed in 0.1s ==\n== 2 failed in 0.1s ==", "2 failed in 0.1s"),
        ("FAIL\texample.com/x\t0.003s", "FAIL example.com/x 0.003s"),
        ("TAP version 13\nok 1 - a\n1..1\n# tests 1\n# fail 2", "# fail 2"),
        ("I once failed, 3 passed in 0.1s", ""),
        ("  1 failing\n 3 fail\n  2 failed\n# fail 3\n     Failed: 3", ""),
    ],
)
def test_failure_is_shown(output: str, failure: str) -> None:
    """Lines that count only as a part of a tool's summary are no failure without it."""
    assert summaries_of(output).failure == failure


@pytest.mark.parametrize(
    "output",
    [
        "running 1 test\n" + CARGO.format(1, "ok", 1, 0, 0),
        "=== test session starts ===\ncollected 3 items\n",
        "PHPUnit 9.6.7 by Sebastian Bergmann and contributors.\n\n..",
        " RUN  v2.1.9 /srv\n ✓ a.test.ts (1 test)",
        "bun test v1.4.5 (a7733435c)\n\na.test.ts:",
        "# Running:\n\n..",
        "    Starting 3 tests across 2 binaries",
        "1..3\nok 1 - one",
        "TAP version 13\nok 1 - one",
    ],
)
def test_run_that_stops_early_is_a_failure(output: str) -> None:
    """A test that ends the process with exit code 0 looks like a success to everything that sees the exit code."""
    assert re.search("no summary|results, but", summaries_of(output).failure)


@pytest.mark.parametrize(
    "output",
    ["hello", "ok", "ok 5", "1..3", "# pass 3", "# fail 1", "3 passed, said the clerk", " 3 pass", "TAP version", "OK"],
)
def test_other_output_is_no_summary(output: str) -> None:
    summaries = summaries_of(output)

    assert (summaries.found, summaries.failure, summaries.text) == (False, "", "")


def test_summaries_of_one_tool_count_for_that_tool() -> None:
    summaries = summaries_of("3 passed in 0.1s\nok  \tx/a\t0.003s")

    assert (summaries.executed_by(["go"]), summaries.executed_by(["cargo"]), summaries.executed_by([])) == (1, 0, 4)


def test_colors_and_overwritten_text_are_ignored() -> None:
    """As vitest prints with FORCE_COLOR, behind a progress line."""
    colored = b"running\r\x1b[2m      Tests \x1b[22m \x1b[1m\x1b[32m3 passed\x1b[39m\x1b[22m\x1b[90m (3)\x1b[39m\r\n"
    lines = Lines(str)

    assert Summaries.of([*lines.feed(colored), *lines.close()]).counts.passed == 3


class CountedText(str):
    """A text that notes whether anything but its length was looked at."""

    looked_at = False

    def __getattribute__(self, name: str) -> object:
        if name not in ("__len__", "looked_at"):
            type(self).looked_at = True
        return super().__getattribute__(name)


def test_endless_line_is_not_looked_at() -> None:
    Summaries().read(CountedText("1 passed, " * 1_000_000))

    assert not CountedText.looked_at
    assert not Summaries.of(["1 passed, " * LONGEST_LINE + "1 failed in 0.1s"]).found


@given(st.lists(st.sampled_from([line for row in OUTPUTS for line in row[1].splitlines()]) | st.text(max_size=40)))
def test_any_output_is_read(lines: list[str]) -> None:
    summaries = Summaries.of(lines)

    assert summaries.counts.executed >= 0
    assert len(summaries.text) < 1000
