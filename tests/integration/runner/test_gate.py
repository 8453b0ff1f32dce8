from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from kiro_worker.config.model import Configuration
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate.gate import GateResult, nothing_ran, run_gate, summary_of
from kiro_worker.runner.gate.test_command import detected_command

UNITTEST = ("python3", "-m", "unittest", "discover", "-v")


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"pytest.ini": ""}, ("python3", "-m", "pytest", "-q")),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, ("python3", "-m", "pytest", "-q")),
        ({"tests/conftest.py": ""}, ("python3", "-m", "pytest", "-q")),
        ({"tests/__init__.py": "", "tests/test_a.py": ""}, UNITTEST),
        ({"tests/test_a.py": ""}, (*UNITTEST, "-s", "tests")),
        ({"test_a.py": ""}, UNITTEST),
        ({"package.json": '{"scripts": {"test": "jest"}}'}, ("npm", "test")),
        (
            {"package.json": '{"scripts": {"test": "jest"}}', "package-lock.json": "{}"},
            ("sh", "-c", "npm ci && npm test"),
        ),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, ()),
        ({"package.json": "not json"}, ()),
        ({"package.json": "[]"}, ()),
        ({"go.mod": "module x"}, ("go", "test", "./...")),
        ({"Cargo.toml": ""}, ("cargo", "test")),
        ({"pom.xml": ""}, ("mvn", "-B", "verify")),
        ({"build.gradle": "", "gradlew": ""}, ("sh", "gradlew", "test", "--console=plain")),
        ({"build.gradle.kts": ""}, ("gradle", "test", "--console=plain")),
        ({"README.md": ""}, ()),
    ],
)
def test_the_usual_command_is_found(tmp_path: Path, files: dict[str, str], command: tuple[str, ...]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert detected_command(tmp_path) == command


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
def test_the_summary_of_the_usual_runners_is_found(output: str, summary: str) -> None:
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
def test_a_run_without_tests_is_seen(output: str) -> None:
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
def test_a_run_in_which_one_test_ran_is_one(output: str) -> None:
    assert not nothing_ran(output.splitlines())


def configuration(**more: object) -> Configuration:
    return Configuration.model_validate(
        {
            "organization": "a",
            "repository": "b",
            "projectNumber": 1,
            "targetStatusColumn": "c",
            "coverageThreshold": None,
        }
        | more
    )


def gate(folder: Path, **more: object) -> str:
    home = folder / "home"
    tests = run_gate(configuration(**more), folder, home, parent={"PATH": "/usr/bin:/bin"}, sink=print, redact=str)
    return tests.summary


def test_no_command_is_no_pass(tmp_path: Path) -> None:
    with pytest.raises(BuildStopped) as stopped:
        gate(tmp_path)

    assert stopped.value.outcome is Outcome.TESTS_FAILED
    assert stopped.value.reason.startswith("no test command")
    assert "testCommand" in stopped.value.remedy


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildStopped, match="no-such-runner cannot be started"):
        gate(tmp_path, testCommand="no-such-runner --all")


def test_a_run_in_which_no_test_ran_is_no_pass(tmp_path: Path) -> None:
    with pytest.raises(BuildStopped, match="no test ran"):
        gate(tmp_path, testCommand=["echo", "Ran 0 tests in 0.000s"])


def test_a_run_without_a_known_summary_passes_by_its_exit_code(tmp_path: Path) -> None:
    assert gate(tmp_path, testCommand=["true"]) == "passed"


PASSED = '<testsuites><testsuite name="s" tests="1"><testcase classname="c" name="n"/></testsuite></testsuites>'
FAILED = PASSED.replace('name="n"/>', 'name="n"><failure message="m"/></testcase>')
LCOV = "SF:shop/a.py\nDA:1,1\nDA:2,{hits}\nend_of_record\n"
PATCH = b"--- a/shop/a.py\n+++ b/shop/a.py\n@@ -1,0 +2 @@\n+x = 1\n"


def writes(folder: Path, files: dict[str, str], *, code: int = 0, said: str = "") -> list[str]:
    """A test command that leaves these files."""
    script = folder.parent / f"{folder.name}-tests.py"
    script.write_text(
        f"import pathlib, sys\nprint({said!r})\nfor name, text in {files!r}.items():\n"
        f"    path = pathlib.Path(name); path.parent.mkdir(parents=True, exist_ok=True); path.write_text(text)\n"
        f"sys.exit({code})\n"
    )
    return [sys.executable, str(script)]


def run(folder: Path, *, patch: bytes = b"", keep: Path | None = None, **more: object) -> GateResult:
    home = folder.parent / f"{folder.name}-home"
    environment = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return run_gate(
        configuration(**more), folder, home, parent=environment, sink=print, redact=str, patch=patch, keep=keep
    )


def refused(folder: Path, **more: object) -> BuildStopped:
    with pytest.raises(BuildStopped) as stopped:
        run(folder, **more)  # type: ignore[arg-type]  # passed on
    return stopped.value


def test_junit_and_coverage_are_read_and_kept(tmp_path: Path) -> None:
    command = writes(tmp_path, {"junit.xml": PASSED, "coverage/lcov.info": LCOV.format(hits=1)})

    result = run(tmp_path, testCommand=command, coverageThreshold=100, keep=tmp_path.parent / "kept")

    assert (str(result.tests), result.coverage_line) == ("1 tests", "lines 100 % (2/2)")
    kept = tmp_path.parent / "kept"
    assert [path.name for path in (kept / "tests").iterdir()] == ["001-junit.xml"]
    assert (kept / "coverage" / "cobertura.xml").exists()
    assert json.loads((kept / "gate.json").read_text())["junit"]["tests"] == 1


def test_an_exit_code_that_junit_contradicts_is_no_pass(tmp_path: Path) -> None:
    stop = refused(tmp_path, testCommand=writes(tmp_path, {"junit.xml": FAILED}))

    assert stop.outcome is Outcome.TESTS_FAILED
    assert "exit code 0, but its JUnit report tells of 1 failed: c.n" in stop.reason


@pytest.mark.parametrize("said", ["1 failed, 3 passed in 0.1s", "FAILED (failures=1)", "test result: FAILED. 1 passed"])
def test_an_exit_code_that_the_summary_contradicts_is_no_pass(tmp_path: Path, said: str) -> None:
    assert "but it said" in refused(tmp_path, testCommand=writes(tmp_path, {}, said=said)).reason


def test_a_junit_report_without_a_test_that_ran_is_no_pass(tmp_path: Path) -> None:
    skipped = PASSED.replace('name="n"/>', 'name="n"><skipped/></testcase>')

    assert "no test ran" in refused(tmp_path, testCommand=writes(tmp_path, {"junit.xml": skipped})).reason


def test_a_report_from_before_the_run_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "lcov.info").write_text(LCOV.format(hits=1))
    os.utime(tmp_path / "lcov.info", (2**32, 2**32))

    stop = refused(tmp_path, testCommand=["true"], coverageThreshold=10)

    assert stop.outcome is Outcome.COVERAGE_BELOW_THRESHOLD
    assert stop.reason.startswith("coverage cannot be measured: the tests left no coverage report")


def test_a_report_that_is_a_link_out_of_the_folder_does_not_count(tmp_path: Path) -> None:
    secret = tmp_path.parent / "secret.info"
    secret.write_text(LCOV.format(hits=1))
    command = [sys.executable, "-c", f"import os; os.symlink({str(secret)!r}, 'lcov.info')"]

    for named in ({}, {"coverageReport": "lcov.info"}):
        stop = refused(tmp_path, testCommand=command, coverageThreshold=10, **named)
        (tmp_path / "lcov.info").unlink()
        assert "cannot be measured" in stop.reason


def test_the_default_threshold_without_a_report_is_an_error_that_says_how_to_go_without(tmp_path: Path) -> None:
    required = {"organization": "a", "repository": "b", "projectNumber": 1, "targetStatusColumn": "c"}
    plain = Configuration.model_validate({**required, "testCommand": ["true"]})
    with pytest.raises(BuildStopped) as stopped:
        run_gate(plain, tmp_path, tmp_path / "home", parent=os.environ, sink=print, redact=str)

    assert "coverageThreshold is 80 %, its default" in stopped.value.reason
    assert '"coverageThreshold": null' in stopped.value.remedy


def test_too_little_coverage_is_told_by_numbers(tmp_path: Path) -> None:
    command = writes(tmp_path, {"reports/own.txt": LCOV.format(hits=0)})

    stop = refused(tmp_path, testCommand=command, coverageReport="reports/own.txt", coverageThreshold=50.1)

    assert stop.reason == "coverage is lines 50 % (1/2), and coverageThreshold is 50.1 % of the lines"


def test_changed_lines_are_gated_alone(tmp_path: Path) -> None:
    asked = {"coverageMode": "changed", "coverageThreshold": 80, "patch": PATCH}
    command = writes(tmp_path, {"lcov.info": LCOV.format(hits=0)})
    assert "of the changed lines is 0 % (0/1)" in refused(tmp_path, testCommand=command, **asked).reason

    command = writes(tmp_path, {"lcov.info": LCOV.format(hits=2).replace("DA:1,1", "DA:1,0")})
    assert run(tmp_path, testCommand=command, **asked).coverage_line.endswith("changed lines 100 % (1/1)")  # type: ignore[arg-type]  # passed on

    elsewhere = {**asked, "patch": PATCH.replace(b"shop/a.py", b"shop/b.py")}
    assert "none of the changed files" in refused(tmp_path, testCommand=command, **elsewhere).reason


def test_what_the_tests_changed_is_told(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("")
    (tmp_path / "same.py").write_text("")
    command = writes(tmp_path, {"conftest.py": "import os", "new.txt": ""})

    assert run(tmp_path, testCommand=command).changed_by_tests == ("conftest.py",)


def test_a_detected_pytest_is_asked_for_its_reports(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "shop.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_shop.py").write_text("import shop\n\n\ndef test_add():\n    assert shop.add(1, 2) == 3\n")

    result = run(tmp_path, coverageThreshold=80)

    assert result.tests
    assert result.tests.executed == 1
    assert result.coverage
    assert result.coverage.lines.meets(100)


def test_a_pytest_that_hides_its_failures_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text("def pytest_sessionfinish(session):\n    session.exitstatus = 0\n")
    (tmp_path / "test_shop.py").write_text("def test_it():\n    assert False\n")
    assert "exit code 0" in refused(tmp_path).reason

    (tmp_path / "conftest.py").write_text("import os\n\n\ndef pytest_unconfigure():\n    os._exit(0)\n")
    assert "exit code 0" in refused(tmp_path).reason

    (tmp_path / "conftest.py").write_text("import os\n\nos._exit(0)\n")
    assert "without the JUnit report" in refused(tmp_path).reason


def test_a_detected_unittest_is_measured(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_shop.py").write_text(
        "import unittest\nimport shop\n\n\nclass Shop(unittest.TestCase):\n"
        "    def test_add(self):\n        self.assertEqual(shop.add(1, 2), 3)\n"
    )

    result = run(tmp_path, coverageThreshold=80)

    assert result.summary.startswith("Ran 1 test")
    assert result.coverage_line.startswith("lines 100 %")
