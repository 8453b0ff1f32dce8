from __future__ import annotations

from pathlib import Path

import pytest

from kiro_worker.build.gate import detected_command, nothing_ran, run_tests, summary_of
from kiro_worker.build.outcome import Stopped
from kiro_worker.config import Configuration
from kiro_worker.models import Outcome

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


@pytest.mark.parametrize("output", ["Ran 0 tests in 0.000s\n\nOK", "no tests ran in 0.01s", "ℹ tests 0\nok"])  # noqa: RUF001  # as node prints
def test_a_run_without_tests_is_seen(output: str) -> None:
    assert nothing_ran(output.splitlines())


def configuration(**more: object) -> Configuration:
    return Configuration.model_validate(
        {"organization": "a", "repository": "b", "projectNumber": 1, "targetStatusColumn": "c", **more}
    )


def gate(folder: Path, **more: object) -> str:
    home = folder / "home"
    tests = run_tests(configuration(**more), folder, home, parent={"PATH": "/usr/bin:/bin"}, sink=print, redact=str)
    return tests.summary


def test_no_command_is_no_pass(tmp_path: Path) -> None:
    with pytest.raises(Stopped) as stopped:
        gate(tmp_path)

    assert stopped.value.outcome is Outcome.TESTS_FAILED
    assert stopped.value.reason.startswith("no test command")
    assert "testCommand" in stopped.value.remedy


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="no-such-runner cannot be started"):
        gate(tmp_path, testCommand="no-such-runner --all")


def test_a_run_in_which_no_test_ran_is_no_pass(tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="no test ran"):
        gate(tmp_path, testCommand=["echo", "Ran 0 tests in 0.000s"])


def test_a_run_without_a_known_summary_passes_by_its_exit_code(tmp_path: Path) -> None:
    assert gate(tmp_path, testCommand=["true"]) == "passed"
