"""The gate on real test commands: what it accepts, what it rejects, and which reports it keeps."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.gate.gate import Work, run_gate
from kiro_worker.runner.gate.result import GateResult
from kiro_worker.runner.gate.run import Place
from kiro_worker.runner.sandbox.sandbox import Limits, Sandbox, sandbox
from tests.support.settings import check

PASSED = '<testsuites><testsuite name="s" tests="1"><testcase classname="c" name="n"/></testsuite></testsuites>'
FAILED = PASSED.replace('name="n"/>', 'name="n"><failure message="m"/></testcase>')
LCOV = "SF:shop/a.py\nDA:1,1\nDA:2,{hits}\nend_of_record\n"
PATCH = b"--- a/shop/a.py\n+++ b/shop/a.py\n@@ -1,0 +2 @@\n+x = 1\n"
SYSTEM = {"PATH": "/usr/bin:/bin"}
SECRET = "hunter2-hunter2"


def run(folder: Path, *, patch: bytes = b"", keep: Path | None = None, **more: object) -> GateResult:
    home = folder.parent / f"{folder.name}-home"
    environment = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return run_gate(check(**more), Place(folder, home, environment, print, str), Work(patch=patch), keep)


def failure(folder: Path, **more: object) -> BuildStopped:
    with pytest.raises(BuildStopped) as stopped:
        run(folder, **more)  # type: ignore[arg-type]  # passed on
    return stopped.value


def writes(folder: Path, files: dict[str, str], *, code: int = 0, output: str = "") -> list[str]:
    """A test command that writes ``files``, prints ``output`` and exits with ``code``."""
    script = folder.parent / f"{folder.name}-tests.py"
    script.write_text(
        f"import pathlib, sys\nprint({output!r})\nfor name, text in {files!r}.items():\n"
        f"    path = pathlib.Path(name); path.parent.mkdir(parents=True, exist_ok=True); path.write_text(text)\n"
        f"sys.exit({code})\n"
    )
    return [sys.executable, str(script)]


def test_missing_test_command_fails(tmp_path: Path) -> None:
    stop = failure(tmp_path)

    assert stop.outcome is Outcome.TESTS_FAILED
    assert stop.reason.startswith("no test command")
    assert "test: make test" in stop.remedy


def test_failed_start_is_reported(tmp_path: Path) -> None:
    assert "no-such-runner cannot be started" in failure(tmp_path, test=["no-such-runner", "--all"]).reason
    reason = failure(tmp_path, test="no-such-runner --all").reason
    assert reason.startswith("the test command cannot be started (exit code 127): sh: ")
    assert "no-such-runner" in reason


def test_run_without_tests_fails(tmp_path: Path) -> None:
    assert "no test ran" in failure(tmp_path, test=["echo", "Ran 0 tests in 0.000s"]).reason


def test_exit_code_alone_is_called_so(tmp_path: Path) -> None:
    kept = tmp_path.parent / "kept"
    result = run(tmp_path, test=["true"], keep=kept)

    assert (result.summary, result.sign) == ("passed (exit code only)", "exitCode")
    assert json.loads((kept / "gate.json").read_text())["sign"] == "exitCode"


def test_exit_code_alone_can_be_forbidden(tmp_path: Path) -> None:
    stop = failure(tmp_path, test=["true"], requireReport=True)

    assert stop.outcome is Outcome.TESTS_FAILED
    assert "nothing shows that a test ran" in stop.reason
    assert '"requireReport": false' in stop.remedy
    summary = run(tmp_path, test=["echo", "3 passed in 0.1s"], requireReport=True)
    assert (summary.summary, summary.sign) == ("3 passed in 0.1s", "summary")
    report = run(tmp_path, test=writes(tmp_path, {"junit.xml": PASSED}), requireReport=True)
    assert (report.summary, report.sign) == ("1 test", "report")


@pytest.mark.parametrize(
    ("output", "code", "summary"),
    [
        ("3 passed in 0.1s", 1, "3 passed in 0.1s (exit code 1)"),
        ("", 3, "exit code 3"),
        ("Ran 0 tests in 0.000s", 0, "Ran 0 tests in 0.000s"),
    ],
)
def test_summary_of_failed_run_does_not_say_passed_alone(tmp_path: Path, output: str, code: int, summary: str) -> None:
    kept = tmp_path.parent / "kept"

    stop = failure(tmp_path, test=writes(tmp_path, {}, code=code, output=output), keep=kept)

    gate = json.loads((kept / "gate.json").read_text())
    assert gate["summary"] == summary
    assert code == 0 or stop.reason.startswith(f"the tests ended with exit code {code}")


ENDS_AT_ONCE = {
    "unittest": {"test_a.py": "import os, unittest\nos._exit(0)\n"},
    "unittest, in a test": {
        "test_a.py": "import os, unittest\nclass T(unittest.TestCase):\n    def test(self): os._exit(0)\n"
    },
    "pytest": {"conftest.py": "import os\nos._exit(0)\n", "test_a.py": "def test(): assert False\n"},
    "pytest, forged": {"conftest.py": "import os\nprint('3 passed in 0.1s', flush=True)\nos._exit(0)\n"},
    "pytest, other report": {
        "conftest.py": f"import os, pathlib\npathlib.Path('junit.xml').write_text('''{PASSED}'''); os._exit(0)\n"
    },
    "unittest, other report": {
        "test_a.py": f"import pathlib, unittest\npathlib.Path('junit.xml').write_text('''{PASSED}''')\n"
    },
    "pytest, in a test": {"pytest.ini": "", "test_a.py": "import os\ndef test(): os._exit(0)\n"},
    "npm": {"package.json": '{"scripts": {"test": "true"}}'},
    "npm, prints nothing": {"package.json": '{"scripts": {"test": "node a.js"}}', "a.js": "process.exit(0)"},
    "node:test": {
        "package.json": '{"scripts": {"test": "node --test"}}',
        "a.test.js": "const {test} = require('node:test'); test('a', () => process.exit(0))",
    },
}


@pytest.mark.parametrize("case", ENDS_AT_ONCE)
@pytest.mark.parametrize("threshold", [None, 80])
def test_detected_command_that_runs_no_test_fails(tmp_path: Path, case: str, threshold: float | None) -> None:
    for name, content in ENDS_AT_ONCE[case].items():
        (tmp_path / name).write_text(content)

    stop = failure(tmp_path, coverage={"threshold": threshold})

    assert stop.outcome is Outcome.TESTS_FAILED
    assert re.search("nothing shows that a test ran|no test ran|did not write the requested JUnit", stop.reason)
    assert '"test" in .kiro-worker.yml' in stop.remedy or "exit code 1" in stop.reason


def test_unittest_without_coverage_module_needs_its_summary(tmp_path: Path) -> None:
    """Another tool's summary, which a test could print, does not count for a command whose tool is known."""
    (tmp_path / "test_a.py").write_text("import os, unittest\nprint('3 passed in 0.1s', flush=True)\nos._exit(0)\n")
    programs = tmp_path.parent / "bin"
    programs.mkdir()
    (programs / "python3").write_text(
        f'#!/bin/sh\n[ "$2" = "import coverage" ] || exec {sys.executable} "$@"\nexit 1\n'
    )
    (programs / "python3").chmod(0o755)

    with pytest.raises(BuildStopped, match="no test ran"):
        run_gate(
            check(), Place(tmp_path, tmp_path.parent / "home", {"PATH": f"{programs}:{SYSTEM['PATH']}"}, print, str)
        )


def test_detected_node_tests_pass(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"scripts": {"test": "node --test --test-reporter=spec"}}')
    (tmp_path / "a.test.js").write_text("require('node:test').test('a', () => {})")

    assert (run(tmp_path).summary, run(tmp_path).sign) == ("1 passed", "summary")


def test_failure_far_from_the_end_of_the_output_is_seen(tmp_path: Path) -> None:
    """The summary of one of several projects, before more lines than a result keeps."""
    output = "1 failed, 3 passed in 0.1s\n" + "building\n" * 1000 + "3 passed in 0.1s"

    assert "but its output says: 1 failed" in failure(tmp_path, test=writes(tmp_path, {}, output=output)).reason


def test_report_is_shown_beside_an_empty_summary(tmp_path: Path) -> None:
    """As in a Gradle build with a project that has no tests."""
    command = writes(tmp_path, {"junit.xml": PASSED}, output="> Task :lib:test NO-SOURCE")

    assert (run(tmp_path, test=command).summary, run(tmp_path, test=command).sign) == ("1 test", "report")


def test_coverage_exclude_leaves_files_out(tmp_path: Path) -> None:
    """Of two files, one is generated. The report's paths begin at the source folder, as JaCoCo's do."""
    for name in ("src/shop/a.py", "src/gen/b.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x = 1\n")
    report = LCOV.format(hits=1) + "SF:gen/b.py\nDA:1,0\nDA:2,0\nend_of_record\n"
    command = writes(tmp_path, {"lcov.info": report, "junit.xml": PASSED})

    assert run(tmp_path, test=command).coverage_line == "lines 50% (2/4)"
    result = run(tmp_path, test=command, coverage={"threshold": 100, "exclude": ["src/gen/**"]})
    assert result.coverage_line == "lines 100% (2/2)"


def test_comment_and_dependency_do_not_ask_for_coverage(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\ndependencies = ["pytest-cov"]\n'
        '[tool.pytest.ini_options]\n# addopts = "--cov"\n'
    )
    (tmp_path / "shop.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_shop.py").write_text("import shop\n\n\ndef test_add():\n    assert shop.add(1, 2) == 3\n")

    assert run(tmp_path, coverage={"threshold": 100}).coverage_line.startswith("lines 100% (2/2)")


@pytest.mark.parametrize(
    "test", ["def test_a(): import a\n", "import unittest, a\nclass A(unittest.TestCase):\n def test_a(self): pass\n"]
)
def test_threshold_of_another_command_does_not_apply(tmp_path: Path, test: str) -> None:
    """The project measures coverage in its own way, for example of some files only, and not in its usual tests."""
    settings = "[tool.coverage.report]\nfail_under = 100\n"
    for name, text in {"pyproject.toml": settings, "test_a.py": test, "a.py": "def unused():\n    return 1\n"}.items():
        (tmp_path / name).write_text(text)

    result = run(tmp_path, coverage={"threshold": 10})

    assert result.exit_code == 0
    assert result.coverage_line


def test_reports_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are kept in memory, so 500 large ones would end the runner."""
    monkeypatch.setattr("kiro_worker.runner.gate.reports.MAX_BYTES", len(PASSED) + 1)
    command = writes(tmp_path, {"junit-1.xml": PASSED, "junit-2.xml": PASSED.replace('"n"', '"m"')})

    result = run(tmp_path, test=command, coverage={"threshold": None})

    assert str(result.tests) == "1 test"
    assert "further reports ignored" in result.notes["tests"][0]


def test_coverage_that_the_project_turns_off_is_named(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cov\n")
    (tmp_path / "test_shop.py").write_text("def test_it():\n    pass\n")

    assert run(tmp_path).summary.startswith("1 passed")
    stop = failure(tmp_path, coverage={"threshold": 80})
    assert "cannot be measured: pytest's addopts turn coverage off" in stop.reason


def test_reports_are_read_and_kept(tmp_path: Path) -> None:
    command = writes(tmp_path, {"junit.xml": PASSED, "coverage/lcov.info": LCOV.format(hits=1)})
    kept = tmp_path.parent / "kept"

    result = run(tmp_path, test=command, coverage={"threshold": 100}, keep=kept)

    assert (str(result.tests), result.coverage_line) == ("1 test", "lines 100% (2/2)")
    assert [path.name for path in (kept / "tests").iterdir()] == ["001-junit.xml"]
    assert (kept / "coverage" / "cobertura.xml").exists()
    assert json.loads((kept / "gate.json").read_text())["junit"]["tests"] == 1


def test_junit_failure_overrides_exit_code(tmp_path: Path) -> None:
    stop = failure(tmp_path, test=writes(tmp_path, {"junit.xml": FAILED}))

    assert stop.outcome is Outcome.TESTS_FAILED
    assert "exit code 0, but its JUnit report shows 1 failed: c.n" in stop.reason


@pytest.mark.parametrize(
    "output", ["1 failed, 3 passed in 0.1s", "FAILED (failures=1)", "test result: FAILED. 1 passed"]
)
def test_summary_failure_overrides_exit_code(tmp_path: Path, output: str) -> None:
    stop = failure(tmp_path, test=writes(tmp_path, {}, output=output))

    assert f"but its output says: {output}" in stop.reason


def test_only_skipped_tests_fail(tmp_path: Path) -> None:
    skipped = PASSED.replace('name="n"/>', 'name="n"><skipped/></testcase>')

    assert "no test ran" in failure(tmp_path, test=writes(tmp_path, {"junit.xml": skipped})).reason


def test_report_from_before_run_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "lcov.info").write_text(LCOV.format(hits=1))
    os.utime(tmp_path / "lcov.info", (2**32, 2**32))

    stop = failure(tmp_path, test=["true"], coverage={"threshold": 10})

    assert stop.outcome is Outcome.COVERAGE_BELOW_THRESHOLD
    assert stop.reason.startswith("coverage cannot be measured: the tests wrote no coverage report")


def test_linked_report_is_ignored(tmp_path: Path) -> None:
    secret = tmp_path.parent / "secret.info"
    secret.write_text(LCOV.format(hits=1))
    command = [sys.executable, "-c", f"import os; os.symlink({str(secret)!r}, 'lcov.info')"]

    for named in ({}, {"report": "lcov.info"}):
        stop = failure(tmp_path, test=command, coverage={"threshold": 10, **named})
        (tmp_path / "lcov.info").unlink()
        assert "cannot be measured" in stop.reason


MALFORMED = {
    "lcov.info": "SF:shop/a.py\nDA:1\n",
    "coverage-summary.json": '{"total": {"lines": {"covered": 9, "total": 1}}}',
    "coverage.xml": "<coverage><class filename='a'><lines><line number='1' hits='x'/></lines></class></coverage>",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_unreadable_coverage_is_a_note(tmp_path: Path, name: str) -> None:
    command = writes(tmp_path, {name: MALFORMED[name], "junit.xml": PASSED})
    kept = tmp_path.parent / "kept"

    result = run(tmp_path, test=command, keep=kept)

    (note,) = result.notes["coverage"]
    assert note.startswith(f"report ignored: {name} is not a coverage report: ")
    assert (str(result.tests), result.coverage, result.notes["tests"]) == ("1 test", None, ())
    assert json.loads((kept / "gate.json").read_text())["notes"] == {"tests": [], "coverage": [note]}
    stop = failure(tmp_path, test=command, coverage={"threshold": 0})
    assert stop.outcome is Outcome.COVERAGE_BELOW_THRESHOLD
    assert note in stop.reason


def test_unreadable_junit_report_is_a_note(tmp_path: Path) -> None:
    command = writes(tmp_path, {"junit.xml": "<html/>"}, output="3 passed in 0.1s")

    result = run(tmp_path, test=command)

    assert (result.summary, result.tests) == ("3 passed in 0.1s", None)
    assert "junit.xml is not a JUnit report" in result.notes["tests"][0]


def test_report_under_two_names_counts_once(tmp_path: Path) -> None:
    command = writes(tmp_path, {"junit.xml": PASSED, "reports/TEST-all.xml": PASSED.replace('tests="1"', 'time="2"')})

    assert str(run(tmp_path, test=command).tests) == "1 test"


def test_default_threshold_has_remedy(tmp_path: Path) -> None:
    command = writes(tmp_path, {"lcov.info": LCOV.format(hits=0)})
    stop = failure(tmp_path, test=command, coverage={})

    assert "coverage.threshold is 80%, its default" in stop.reason


def test_low_coverage_is_reported_in_numbers(tmp_path: Path) -> None:
    command = writes(tmp_path, {"reports/own.txt": LCOV.format(hits=0)})

    stop = failure(tmp_path, test=command, coverage={"report": "reports/own.txt", "threshold": 50.1})

    assert stop.reason == "coverage is lines 50% (1/2), and coverage.threshold is 50.1% of the lines"


def test_changed_mode_ignores_old_lines(tmp_path: Path) -> None:
    settings = {"coverage": {"mode": "changed", "threshold": 80}, "patch": PATCH}
    command = writes(tmp_path, {"lcov.info": LCOV.format(hits=0)})
    assert "of the changed lines is 0% (0/1)" in failure(tmp_path, test=command, **settings).reason

    command = writes(tmp_path, {"lcov.info": LCOV.format(hits=2).replace("DA:1,1", "DA:1,0")})
    result = run(tmp_path, test=command, **settings)  # type: ignore[arg-type]  # passed on
    assert result.coverage_line.endswith("changed lines 100% (1/1)")

    elsewhere = {**settings, "patch": PATCH.replace(b"shop/a.py", b"shop/b.py")}
    assert "none of the changed files" in failure(tmp_path, test=command, **elsewhere).reason


def test_files_changed_by_tests_are_listed(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("")
    (tmp_path / "same.py").write_text("")
    command = writes(tmp_path, {"conftest.py": "import os", "new.txt": ""})

    assert run(tmp_path, test=command).changed_by_tests == ("conftest.py",)


def test_detected_pytest_writes_reports(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "shop.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_shop.py").write_text("import shop\n\n\ndef test_add():\n    assert shop.add(1, 2) == 3\n")

    result = run(tmp_path, coverage={"threshold": 80})

    assert result.tests
    assert result.tests.executed == 1
    assert result.coverage
    assert result.coverage.lines.meets(100)


def test_pytest_that_hides_failures_fails(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text("def pytest_sessionfinish(session):\n    session.exitstatus = 0\n")
    (tmp_path / "test_shop.py").write_text("def test_it():\n    assert False\n")
    assert "exit code 0" in failure(tmp_path).reason

    (tmp_path / "conftest.py").write_text("import os\n\n\ndef pytest_unconfigure():\n    os._exit(0)\n")
    assert "exit code 0" in failure(tmp_path).reason

    (tmp_path / "conftest.py").write_text("import os\n\nos._exit(0)\n")
    assert "did not write the requested JUnit report" in failure(tmp_path).reason


def test_detected_unittest_is_measured(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "test_shop.py").write_text(
        "import unittest\nimport shop\n\n\nclass Shop(unittest.TestCase):\n"
        "    def test_add(self):\n        self.assertEqual(shop.add(1, 2), 3)\n"
    )

    result = run(tmp_path, coverage={"threshold": 80})

    assert result.summary.startswith("Ran 1 test")
    assert result.coverage_line.startswith("lines 100%")


def test_long_test_does_not_count_as_covered(tmp_path: Path) -> None:
    """The test executes 83 lines, none of which is product code."""
    (tmp_path / "shop.py").write_text("".join(f"PRICE_{number} = {number}\n" for number in range(20)))
    lines = "".join(f"        x{number} = {number}\n" for number in range(80))
    (tmp_path / "test_shop.py").write_text(
        f"import unittest\nclass T(unittest.TestCase):\n    def test(self):\n{lines}"
    )

    stop = failure(tmp_path, coverage={"threshold": 80})

    assert stop.outcome is Outcome.COVERAGE_BELOW_THRESHOLD
    assert "coverage is lines 0% (0/20)" in stop.reason


def test_tests_run_as_sandbox_user(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    checkout, home = workspace / "checkout", workspace / "home"
    checkout.mkdir(parents=True)
    lines: list[str] = []

    with sandbox(SYSTEM, workspace, print) as box:
        if box.uid is None:
            pytest.skip("only root can change the user; the limits of the sandbox are tested below")
        box.grant(checkout, home)
        run_gate(check(test=["id", "-u"]), Place(checkout, home, SYSTEM, lines.append, str, box))
        box.reclaim(checkout, home)

    assert lines == ["$ id -u", str(box.uid)]


def test_every_command_runs_in_sandbox(tmp_path: Path) -> None:
    """The probe for a report module included: it imports code that the agent may have written."""
    checkout, programs, log = tmp_path / "checkout", tmp_path / "bin", tmp_path / "commands"
    checkout.mkdir()
    (checkout / "pytest.ini").touch()
    programs.mkdir()
    (programs / "python3").write_text(f'#!/bin/sh\necho "$(ulimit -n) $2" >> {log}\n')
    (programs / "python3").chmod(0o755)

    box = Sandbox(limits=Limits(open_files=77))
    place = Place(checkout, tmp_path / "home", {"PATH": f"{programs}:{SYSTEM['PATH']}"}, print, str, box)
    with pytest.raises(BuildStopped, match="did not write the requested JUnit report"):
        run_gate(check(), place)

    assert log.read_text().splitlines() == ["77 import pytest_cov", "77 pytest"]


def test_logged_command_and_file_names_are_redacted(tmp_path: Path) -> None:
    (tmp_path / f"{SECRET}.txt").write_text("before\n")
    command = [*writes(tmp_path, {f"{SECRET}.txt": "after\n"}), f"--token={SECRET}"]
    lines: list[str] = []

    home = tmp_path.parent / "home"
    run_gate(check(test=command), Place(tmp_path, home, SYSTEM, lines.append, lambda text: text.replace(SECRET, "***")))

    assert lines[0].endswith(" --token=***")
    assert lines[-1].endswith(": ***.txt")


def test_output_and_kept_reports_are_redacted(tmp_path: Path) -> None:
    reports = {"junit.xml": FAILED.replace('"n"', f'"{SECRET}"'), "lcov.info": f"SF:{SECRET}/a.py\nDA:1,1\n"}
    command = writes(tmp_path, reports, output=f"{SECRET}\nRan 1 test in 0.1s of {SECRET}")
    lines: list[str] = []
    kept = tmp_path.parent / "kept"

    place = Place(tmp_path, tmp_path.parent / "home", SYSTEM, lines.append, lambda text: text.replace(SECRET, "***"))
    with pytest.raises(BuildStopped) as stopped:
        run_gate(check(test=command), place, keep=kept)

    assert lines[1:3] == ["***", "Ran 1 test in 0.1s of ***"]
    assert SECRET not in "".join(lines), "the second run, too"
    assert stopped.value.details == "c.***\n    m\n***\nRan 1 test in 0.1s of ***"
    contents = {path.name: path.read_text() for path in kept.rglob("*") if path.is_file()}
    assert sorted(contents) == ["001-junit.xml", "002-lcov.info", "cobertura.xml", "gate.json"]
    assert all("***" in text and SECRET not in text for text in contents.values())
    gate = json.loads(contents["gate.json"])
    assert (gate["summary"], gate["junit"]["failedNames"]) == ("Ran 1 test in 0.1s of ***", ["c.***"])
