"""Detect a repository's test command, and add the options that make it write reports."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.ecosystems.choose import DETECTORS
from kiro_worker.runner.gate.ecosystems.report_options import with_report_options as options_for
from kiro_worker.runner.gate.project_settings import ProjectSettings
from kiro_worker.runner.sandbox.processes import stream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kiro_worker.runner.sandbox.sandbox import Sandbox

_PYTEST: Final = ("python3", "-m", "pytest", "-q")
_UNITTEST: Final = ("python3", "-m", "unittest")
_MEASURED_UNITTEST: Final = (
    'python3 -m coverage run {options} -m unittest "$@"'
    # There is something to combine only if the project's settings make each process write its own data.
    " && { python3 -m coverage combine > /dev/null 2>&1 || true; }"
    ' && python3 -m coverage xml -q -o "$HOME/coverage.xml"'
)


@dataclass(frozen=True)
class DetectedCommand:
    """The command to run, the tools of which one must print a summary (any, if empty), and what was noticed."""

    words: tuple[str, ...]
    tools: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def detected_command(folder: Path) -> tuple[str, ...]:
    """Return the usual test command of the repository's ecosystem; empty if no known ecosystem is detected."""
    settings = ProjectSettings(folder)
    if settings.uses_pytest:
        return _PYTEST
    if settings.npm_test_script:
        return _npm_command(folder)
    for detector in DETECTORS[1:]:
        detected = detector(folder)
        if detected and detected.test:
            return detected.test
    if (folder / "tests" / "__init__.py").is_file() or any(folder.glob("test_*.py")):
        return (*_UNITTEST, "discover", "-v")
    if any((folder / "tests").glob("test_*.py")):
        return (*_UNITTEST, "discover", "-v", "-s", "tests")
    return ()


def with_report_options(
    command: tuple[str, ...], folder: Path, home: Path, environment: Mapping[str, str], sandbox: Sandbox | None = None
) -> DetectedCommand:
    """Return ``command``, extended to write a JUnit report, and coverage if the module for it is installed.

    ``command`` comes from :func:`detected_command`. What the project's own settings already ask for is left to them.
    Reports go to ``home`` if the tool allows it, so that they do not clutter the checkout. Surefire and Gradle write
    JUnit reports anyway.
    """
    settings = ProjectSettings(folder)
    words = command
    tools: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    if command == _PYTEST:
        has_plugin = _has_module("pytest_cov", home, environment, sandbox)
        options, notes = _pytest_options(settings, home, has_plugin=has_plugin)
        words = (*command, *options)
    elif command[:3] == _UNITTEST:
        tools = ("unittest",)
        if _has_module("coverage", home, environment, sandbox):
            script = _MEASURED_UNITTEST.replace("{options}", " ".join(_unittest_options(settings)))
            words = ("sh", "-c", script, "unittest", *command[3:])
    elif other := options_for(command, folder, home):
        words, tools = other
    return DetectedCommand(words, tools, (*settings.notes, *notes))


def _pytest_options(
    settings: ProjectSettings, home: Path, *, has_plugin: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the options for reports, and notes."""
    options: tuple[str, ...] = (f"--junitxml={home / 'junit.xml'}",)
    coverage = settings.pytest_coverage
    if coverage.is_off:
        return options, ("pytest's addopts turn coverage off",)
    if has_plugin:
        options += () if coverage.is_measured else ("--cov", "--cov-branch")
        options += (f"--cov-report=xml:{home / 'coverage.xml'}",)
    return options, ()


def _unittest_options(settings: ProjectSettings) -> tuple[str, ...]:
    """Return the options for coverage.py that the project's own configuration does not set."""
    run = settings.coverage_run
    chooses_files = any(run.get(key) for key in ("source", "source_pkgs", "source_dirs", "include"))
    return (*(() if "branch" in run else ("--branch",)), *(() if chooses_files else ("--source=.",)))


def _with_jest_options(command: tuple[str, ...], settings: ProjectSettings, home: Path) -> tuple[str, ...]:
    """Return the npm command with options that make jest write an LCOV report, if its script is one call of jest."""
    own = settings.jest_options
    if own is None:
        return command
    names = {option.partition("=")[0] for option in own}
    options: list[str] = []
    if not settings.jest_collects_coverage and not names & {"--coverage", "--collectCoverage", "--no-coverage"}:
        options.append("--coverage")
    options.append("--coverageReporters=lcovonly")
    if "--coverageDirectory" not in names:
        options.append(f"--coverageDirectory={home}")
    if command[0] == "sh":
        return (*command[:2], f"{command[2]} -- {shlex.join(options)}")
    return (*command, "--", *options)


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


def _npm_command(folder: Path) -> tuple[str, ...]:
    if (folder / "package-lock.json").is_file() and not (folder / "node_modules").is_dir():
        return ("sh", "-c", "npm ci && npm test")
    return ("npm", "test")
