"""Chooses between the ecosystems of a folder, which can have the files of several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.ecosystems import manifests
from kiro_worker.runner.gate.ecosystems.bundler import detect_bundler
from kiro_worker.runner.gate.ecosystems.cargo import detect_cargo
from kiro_worker.runner.gate.ecosystems.composer import detect_composer
from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.dotnet import detect_dotnet
from kiro_worker.runner.gate.ecosystems.go import detect_go
from kiro_worker.runner.gate.ecosystems.gradle import detect_gradle
from kiro_worker.runner.gate.ecosystems.maven import detect_maven
from kiro_worker.runner.gate.ecosystems.node import detect_node
from kiro_worker.runner.gate.ecosystems.parts import choose_parts, find_parts
from kiro_worker.runner.gate.ecosystems.python import detect_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    Detector = Callable[[Path], Detected | None]

DETECTORS: Final[tuple[Detector, ...]] = (
    *(detect_python, detect_go, detect_cargo, detect_maven, detect_gradle, detect_dotnet),
    *(detect_composer, detect_bundler, detect_node),
)
"""One function per ecosystem. If several find tests, the first wins: compiled languages and Python come before the
languages that are also used for tools and documentation, of which Node is the most common."""
_INSTALLS: Final = frozenset(
    (
        *("Pipfile", "Pipfile.lock", "noxfile.py", "pdm.lock", "poetry.lock", "poetry.toml", "pyproject.toml"),
        *("setup.cfg", "setup.py", "tox.ini", "tox.toml", "uv.lock", "uv.toml", ".python-version", ".tool-versions"),
        *("CMakeLists.txt", "MANIFEST.in", "meson.build"),
    )
)
"""Names of files that change what setup installs."""
_INSTALLED: Final = frozenset(
    (
        *(".c", ".cc", ".cpp", ".cxx", ".f", ".f90", ".h", ".hpp", ".pxd", ".pxi", ".pyx", ".rs"),
        *(".csproj", ".fsproj", ".gemspec", ".props", ".targets", ".vbproj"),
    )
)
"""Ends of names of sources that setup compiles, as extension modules, and of manifests."""


def detect(folder: Path, detectors: Sequence[Detector] = DETECTORS, *, preferred: str = "") -> Detected:
    """Return how the project in ``folder`` is installed and tested.

    ``preferred`` is the ecosystem of an earlier commit. It stays as long as it has tests: else the first test of
    another language, added beside the project's own, would run in place of them.

    What has tests is preferred to what has none, and what can be chosen to what has a ``problem``. Without any, the
    ``problem`` names the folders below that are projects; it is empty if there are none.
    """
    found = [detected for detector in detectors if (detected := detector(folder))]
    if not found:
        return _parts(folder, detectors, "is no project of a known ecosystem")
    best, *others = sorted(
        found,
        key=lambda one: (
            not (one.ecosystem == preferred and one.test),
            bool(one.problem),
            not one.test,
            not one.likely,
        ),
    )
    if best.problem and not best.likely:
        # Files for tools alone: the projects may be below.
        parts = _parts(folder, detectors, f"has no tests ({best.ecosystem})")
        return parts if parts.problem else best
    if names := ", ".join(other.ecosystem for other in others):
        return replace(best, reason=f"{best.reason} (also found: {names})")
    return best


def changes_installation(changed: Iterable[str]) -> list[str]:
    """Return those of the changed files that decide what setup installs: manifests, lock files, compiled sources."""
    return [name for name in changed if _is_installed(PurePosixPath(name))]


def _is_installed(path: PurePosixPath) -> bool:
    is_manifest = manifests.matches(str(path)) or path.name in _INSTALLS
    return is_manifest or path.suffix in _INSTALLED or _is_requirements(path)


def _is_requirements(path: PurePosixPath) -> bool:
    is_named = any("requirements" in part or "constraints" in part for part in path.parts)
    return is_named and path.suffix in (".txt", ".in")


def _parts(folder: Path, detectors: Sequence[Detector], root: str) -> Detected:
    """Return which folders below are projects. ``root`` says why the folder itself is none."""

    def is_part(path: Path) -> bool:
        return any(detected.likely for detector in detectors if (detected := detector(path)))

    parts = find_parts(folder, is_part)
    if not parts:
        return Detected("", "no file of a known ecosystem is in the folder")
    named = f"{', '.join(parts[:6])} {'is' if len(parts) == 1 else 'are'}"
    why = f"the root {root}, but {named}"
    return Detected("", why, problem=choose_parts(parts, why))
