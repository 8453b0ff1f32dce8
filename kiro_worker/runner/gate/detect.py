"""Detect a repository's test command, and add the options that make it write reports."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.ecosystems.choose import detect
from kiro_worker.runner.gate.ecosystems.python import PYTHON
from kiro_worker.runner.gate.ecosystems.report_options import with_report_options as options_for
from kiro_worker.runner.gate.project_settings import ProjectSettings
from kiro_worker.runner.sandbox.processes import stream

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kiro_worker.runner.sandbox.sandbox import Sandbox

_PYTEST: Final = ("-m", "pytest", "-q")
_UNITTEST: Final = ("-m", "unittest")
_MACHINES_PYTHON: Final = "python3"
# Coverage is measured in another way than the project measures it, so the project's own threshold must not apply.
_NO_THRESHOLD: Final = "--cov-fail-under=0"
_MEASURED_UNITTEST: Final = (
    '{python} -m coverage run {options} -m unittest "$@"'
    # There is something to combine only if the project's settings make each process write its own data.
    " && { {python} -m coverage combine > /dev/null 2>&1 || true; }"
    ' && {python} -m coverage xml -q --fail-under=0 -o "$HOME/coverage.xml"'
)


@dataclass(frozen=True)
class DetectedCommand:
    """The command to run, the tools of which one must print a summary (any, if empty), and what was noticed."""

    words: tuple[str, ...]
    tools: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def detected_command(folder: Path, *, is_set_up: bool = True, preferred: str = "") -> tuple[str, ...]:
    """Return the usual test command of the folder's ecosystem; empty if no known ecosystem with tests is detected.

    Before setup, it names the virtual environment that setup is going to make. ``preferred`` is that of :func:`detect`.
    """
    command = detect(folder, preferred=preferred).test
    return _runnable(command, folder) if is_set_up else command


def _runnable(command: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Return ``command`` for the machine's Python if the setup that was configured made no virtual environment."""
    if command[:1] == (PYTHON,) and not os.path.lexists(folder / PYTHON):
        return (_MACHINES_PYTHON, *command[1:])
    return command


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
    python, arguments = command[:1], command[1:]
    is_python = python in ((PYTHON,), (_MACHINES_PYTHON,))
    # An absolute path, because the question is asked in another folder.
    has_module = partial(_has_module, str(folder / PYTHON) if python == (PYTHON,) else _MACHINES_PYTHON)
    if is_python and arguments == _PYTEST:
        has_plugin = has_module("pytest_cov", home, environment, sandbox)
        options, notes = _pytest_options(settings, home, has_plugin=has_plugin)
        words = (*command, *options)
    elif is_python and arguments[:2] == _UNITTEST:
        tools = ("unittest",)
        if has_module("coverage", home, environment, sandbox):
            script = _MEASURED_UNITTEST.replace("{options}", " ".join(_unittest_options(settings)))
            words = ("sh", "-c", script.replace("{python}", python[0]), "unittest", *arguments[2:])
    elif is_python and arguments[:2] == ("manage.py", "test"):
        tools = ("unittest",)
    elif found := options_for(command, folder, home):
        words, tools = found
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
        options += () if coverage.is_measured else ("--cov", "--cov-branch", _NO_THRESHOLD)
        options += (f"--cov-report=xml:{home / 'coverage.xml'}",)
    return options, ()


def _unittest_options(settings: ProjectSettings) -> tuple[str, ...]:
    """Return the options for coverage.py that the project's own configuration does not set."""
    run = settings.coverage_run
    chooses_files = any(run.get(key) for key in ("source", "source_pkgs", "source_dirs", "include"))
    return (*(() if "branch" in run else ("--branch",)), *(() if chooses_files else ("--source=.",)))


def _has_module(python: str, module: str, home: Path, environment: Mapping[str, str], sandbox: Sandbox | None) -> bool:
    """Return whether the tests' Python can import ``module``. Runs in the sandbox, because an import runs code."""
    try:
        return stream(
            (python, "-c", f"import {module}"),
            cwd=home,
            environment=environment,
            timeout_seconds=30,
            sink=lambda _: None,
            sandbox=sandbox,
        ).succeeded
    except OSError:
        return False
