""".NET projects and solutions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.project_files import ProjectFiles
from kiro_worker.runner.sandbox.printable import listed, printable_name

if TYPE_CHECKING:
    from pathlib import Path

_SOLUTIONS: Final = ("*.sln", "*.slnx")
_PROJECTS: Final = ("*.csproj", "*.fsproj", "*.vbproj")
_TEST_SDK: Final = re.compile(r"Microsoft\.NET\.Test\.Sdk|<IsTestProject>\s*true|<TestingPlatformDotnetTestSupport>")
_LEVELS: Final = 3
_LEVELS_OF_PROJECTS: Final = 6
_MAX_READ: Final = 100


def detect_dotnet(folder: Path) -> Detected | None:
    """Return how the .NET solution or project in ``folder`` is restored and tested; None if there is none.

    A solution decides before a project, and the topmost one before others. One without a project is of another
    language, such as C++.
    """
    files = ProjectFiles(folder)
    solutions = files.names(*_SOLUTIONS, levels=_LEVELS)
    projects = files.names(*_PROJECTS, levels=_LEVELS_OF_PROJECTS)
    if not projects:
        return None
    settings = files.names("Directory.*.props", levels=_LEVELS)
    tested = tuple(name for name in (*projects, *settings)[:_MAX_READ] if _TEST_SDK.search(files.text(name)))
    candidates = _topmost(solutions) or _topmost(projects)
    if len(candidates) > 1 and not solutions:
        candidates = tuple(name for name in tested if name in projects)
    if len(candidates) != 1:
        return Detected(
            "dotnet", "*.sln, *.csproj", problem=_problem(candidates or solutions or projects), likely=bool(tested)
        )
    # With its folder, so that no name is taken for an option or a response file.
    target = f"./{candidates[0]}"
    locked = ("--locked-mode",) if files.has("packages.lock.json") else ()
    setup, test = ("dotnet", "restore", target, *locked), ("dotnet", "test", target, "--no-restore")
    name = printable_name(candidates[0])
    reason = f"{name} → dotnet restore; {name} → dotnet test"
    return Detected("dotnet", reason, setup, test, likely=bool(tested))


def _topmost(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of ``names`` that are in the fewest folders."""
    levels = min((name.count("/") for name in names), default=0)
    return tuple(name for name in names if name.count("/") == levels)


def _problem(names: tuple[str, ...]) -> str:
    return (
        f"several solutions or projects could be tested: {listed(names, printable_name)}."
        f' Write one into .kiro-worker.yml: "test: dotnet test NAME", and "setup: dotnet restore NAME"'
    )
