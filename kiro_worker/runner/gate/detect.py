"""Detect a repository's test command, and add the options that make it write reports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.sandbox.processes import stream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kiro_worker.runner.sandbox.sandbox import Sandbox

_NO_TEST_SCRIPT: Final = "no test specified"
_PYTEST: Final = ("python3", "-m", "pytest", "-q")
_UNITTEST: Final = ("python3", "-m", "unittest")
_MEASURED_UNITTEST: Final = (
    'python3 -m coverage run --branch --source=. -m unittest "$@" && python3 -m coverage xml -q -o "$HOME/coverage.xml"'
)


def detected_command(folder: Path) -> tuple[str, ...]:
    """Return the usual test command of the repository's ecosystem; empty if no known ecosystem is detected."""
    if _uses_pytest(folder):
        return _PYTEST
    if _npm_test_script(folder):
        return _npm_command(folder)
    for file, command in (
        ("go.mod", ("go", "test", "./...")),
        ("Cargo.toml", ("cargo", "test")),
        ("pom.xml", ("mvn", "-B", "verify")),
        ("gradlew", ("sh", "gradlew", "test", "--console=plain")),
        ("build.gradle", ("gradle", "test", "--console=plain")),
        ("build.gradle.kts", ("gradle", "test", "--console=plain")),
    ):
        if (folder / file).is_file():
            return command
    if (folder / "tests" / "__init__.py").is_file() or any(folder.glob("test_*.py")):
        return ("python3", "-m", "unittest", "discover", "-v")
    if any((folder / "tests").glob("test_*.py")):
        return ("python3", "-m", "unittest", "discover", "-v", "-s", "tests")
    return ()


def with_report_options(
    command: tuple[str, ...], folder: Path, home: Path, environment: Mapping[str, str], sandbox: Sandbox | None = None
) -> tuple[str, ...]:
    """Return ``command``, extended to write a JUnit report, and coverage if the module for it is installed.

    ``command`` comes from :func:`detected_command`. Reports go to ``home`` if the tool allows it, so that they do
    not clutter the checkout. Surefire and Gradle write JUnit reports anyway.
    """
    if command == _PYTEST:
        options = (f"--junitxml={home / 'junit.xml'}",)
        if _has_module("pytest_cov", home, environment, sandbox):
            configured = any("--cov" in _text(folder / name) for name in ("pyproject.toml", "pytest.ini", "setup.cfg"))
            options += (*(() if configured else ("--cov", "--cov-branch")), f"--cov-report=xml:{home / 'coverage.xml'}")
        return (*command, *options)
    if command[:3] == _UNITTEST and _has_module("coverage", home, environment, sandbox):
        return ("sh", "-c", _MEASURED_UNITTEST, "unittest", *command[3:])
    if command[:2] == ("go", "test"):
        return ("go", "test", f"-coverprofile={home / 'coverage.out'}", *command[2:])
    if command[0] != "go" and _npm_test_script(folder).split()[:1] == ["jest"]:
        jest_options = ("--", "--coverage", "--coverageReporters=lcovonly", f"--coverageDirectory={home}")
        if command[0] == "sh":
            return (*command[:2], f"{command[2]} {' '.join(jest_options)}")
        return (*command, *jest_options)
    return command


def _has_module(module: str, home: Path, environment: Mapping[str, str], sandbox: Sandbox | None) -> bool:
    """Return whether the tests' Python can import ``module``. Runs in the sandbox, because an import runs code."""
    try:
        return stream(
            ("python3", "-c", f"import {module}"),
            cwd=home,
            environment=environment,
            timeout_seconds=30,
            sink=lambda _: None,
            sandbox=sandbox,
        ).succeeded
    except OSError:
        return False


def _uses_pytest(folder: Path) -> bool:
    return (
        any((folder / name).is_file() for name in ("pytest.ini", ".pytest.ini", "conftest.py", "tests/conftest.py"))
        or "[tool.pytest" in _text(folder / "pyproject.toml")
        or "[tool:pytest]" in _text(folder / "setup.cfg")
        or "[pytest]" in _text(folder / "tox.ini")
    )


def _npm_test_script(folder: Path) -> str:
    try:
        package = json.loads(_text(folder / "package.json") or "{}")
        script = str(package["scripts"]["test"])
    except (ValueError, KeyError, TypeError):
        return ""
    return "" if _NO_TEST_SCRIPT in script else script


def _npm_command(folder: Path) -> tuple[str, ...]:
    if (folder / "package-lock.json").is_file() and not (folder / "node_modules").is_dir():
        return ("sh", "-c", "npm ci && npm test")
    return ("npm", "test")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
