"""Python: the lock file or the manifest decides how the project is installed, and its settings how it is tested."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.parts import choose_parts, find_parts
from kiro_worker.runner.gate.ecosystems.python_copies import copies_sources
from kiro_worker.runner.gate.ecosystems.python_install import (
    PYTHON as PYTHON,
)
from kiro_worker.runner.gate.ecosystems.python_install import (
    install_with_pdm,
    install_with_pip,
    install_with_pipenv,
    install_with_poetry,
    install_with_uv,
    prepare,
)
from kiro_worker.runner.gate.ecosystems.python_project import PythonProject
from kiro_worker.runner.gate.ecosystems.python_tests import TestFiles, is_django, unittest_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

ECOSYSTEM: Final = "python"
PYTEST: Final = (PYTHON, "-m", "pytest", "-q")
UNITTEST: Final = (PYTHON, "-m", "unittest")
_MANIFESTS: Final = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True)
class _Runner:
    """How the tests run, why, and which packages this needs that the project may not install by itself."""

    words: tuple[str, ...]
    why: str
    needs: tuple[str, ...] = ()
    is_certain: bool = True


@dataclass(frozen=True)
class _Installer:
    """What installs the project, and why."""

    script: Callable[[PythonProject, Sequence[str]], str]
    why: str
    with_pip: bool = True


def detect_python(folder: Path) -> Detected | None:
    """Return how the Python project in ``folder`` is installed and tested; None if there is none."""
    project, files = PythonProject(folder), TestFiles.found_in(folder)
    if problem := _unclear_workspace(project):
        return Detected(ECOSYSTEM, problem.partition(":")[0], problem=problem)
    runner = _runner(project, files)
    installer = _installer(project)
    if installer is None:
        if runner is None:
            return None
        if not runner.needs:
            setup = prepare(project, installs=False)
            reason = f"no manifest → a virtual environment without packages; {runner.why}"
            return Detected(ECOSYSTEM, reason, _script(setup), runner.words)
        installer = _Installer(install_with_pip, "no manifest → pip")
    runner = runner or _Runner(PYTEST, "no tests yet → pytest", ("pytest",), is_certain=False)
    missing = tuple(name for name in runner.needs if not project.mentions(name))
    setup = prepare(project, with_pip=installer.with_pip) + installer.script(project, missing)
    reason = "; ".join((_with_details(installer.why, project, missing), runner.why))
    follows = not copies_sources(project)
    return Detected(ECOSYSTEM, reason, _script(setup), runner.words, likely=runner.is_certain, follows_sources=follows)


def _unclear_workspace(project: PythonProject) -> str:
    """Return what to write for a workspace whose root has no tests of its own; empty if the root is tested."""
    if not project.tool("uv", "workspace") or project.settings.uses_pytest:
        return ""
    if any((project.folder / name).is_dir() for name in ("tests", "test")):
        return ""
    members = find_parts(project.folder, lambda path: (path / "pyproject.toml").is_file())
    return (
        choose_parts(members, f"a uv workspace with {len(members)} members and no tests at its root") if members else ""
    )


def _installer(project: PythonProject) -> _Installer | None:
    has_project = "project" in project.pyproject
    for is_it, installer in (
        (project.has("uv.lock"), _Installer(install_with_uv, "uv.lock → uv sync", with_pip=False)),
        (project.has("poetry.lock"), _Installer(install_with_poetry, "poetry.lock → poetry install")),
        (project.has("pdm.lock"), _Installer(install_with_pdm, "pdm.lock → pdm install")),
        (has_project and project.uses_tool("uv"), _Installer(install_with_uv, "[tool.uv] → uv sync", with_pip=False)),
        (project.needs_poetry, _Installer(install_with_poetry, "[tool.poetry] → poetry install")),
        (bool(project.tool("pdm", "dev-dependencies")), _Installer(install_with_pdm, "[tool.pdm] → pdm install")),
        (project.is_distribution, _Installer(install_with_pip, f"{_manifest(project)} → pip install -e .")),
        (project.has("Pipfile.lock"), _Installer(install_with_pipenv, "Pipfile.lock → pipenv sync")),
        (project.has("Pipfile"), _Installer(install_with_pipenv, "Pipfile → pipenv install")),
        (bool(project.requirement_files), _Installer(install_with_pip, "requirements files → pip install")),
    ):
        if is_it:
            return installer
    return None


def _manifest(project: PythonProject) -> str:
    return next((name for name in _MANIFESTS if project.has(name)), _MANIFESTS[0])


def _runner(project: PythonProject, files: TestFiles) -> _Runner | None:
    """Return how the tests run; None if nothing shows that there are any."""
    settings = project.settings
    if is_django(project) and not settings.uses_pytest and not project.mentions("pytest-django"):
        return _Runner((PYTHON, "manage.py", "test", "--noinput"), "manage.py → Django's tests")
    for is_it, why in (
        (settings.uses_pytest, "pytest's settings → pytest"),
        (files.needs_pytest, "tests that import pytest or are functions → pytest"),
        (project.mentions("pytest"), "pytest is a dependency → pytest"),
        (bool(files.paths) and "pytest" in project.tox_commands, "tox runs pytest → pytest"),
    ):
        if is_it:
            return _Runner(PYTEST, why, ("pytest",))
    if files.paths and (options := unittest_options(project.folder, files)):
        why = "tests that use unittest" if files.uses_unittest else "files with the names of tests"
        return _Runner((*UNITTEST, *options), f"{why} → unittest")
    if files.uses_unittest:
        return _Runner(PYTEST, "tests that unittest would not find → pytest", ("pytest",))
    return _last_resort(project)


def _last_resort(project: PythonProject) -> _Runner | None:
    """Return tox or nox, which only run where nothing else shows how the tests run: they install everything again."""
    if project.tox_commands:
        words = (PYTHON, "-m", "tox", "run", "-e", "py")
        return _Runner(words, "no test files are found, but tox has commands → tox", ("tox",))
    if session := re.search(r"^def (tests?|unit_tests?|pytest)\(", project.settings.text("noxfile.py"), re.MULTILINE):
        command = (PYTHON, "-m", "nox", "-r", "--no-error-on-missing-interpreters", "-s", session[1])
        return _Runner(command, "no test files are found, but noxfile.py has a session → nox", ("nox",))
    return None


def _with_details(why: str, project: PythonProject, missing: Sequence[str]) -> str:
    groups = dict.fromkeys((*project.groups, *project.poetry_groups, *project.pdm_groups))
    parts = [
        *(f"extra {name}" for name in project.extras),
        *(f"group {name}" for name in groups),
        *(project.requirement_files if "pip" in why else ()),
        *(f"{name}, which is not declared" for name in missing),
    ]
    return f"{why} with {', '.join(parts)}" if parts else why


def _script(text: str) -> tuple[str, ...]:
    return ("sh", "-eu", "-c", text)
