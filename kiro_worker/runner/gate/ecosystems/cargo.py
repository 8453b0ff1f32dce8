"""Rust packages and workspaces."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.project_files import ProjectFiles, table

if TYPE_CHECKING:
    from pathlib import Path


_TEST: Final = re.compile(r"^[ \t]*#\[(?:\w{1,50}::){0,3}(?:test|rstest|quickcheck)\b|^[ \t]*proptest!", re.MULTILINE)
_LEVELS: Final = 6
_MAX_READ: Final = 300
_LONGEST_BEGINNING: Final = 200_000


def detect_cargo(folder: Path) -> Detected | None:
    """Return how the Cargo package or workspace in ``folder`` is tested; None if there is no ``Cargo.toml``.

    All packages of a workspace are tested, unless it names its ``default-members``.
    """
    files = ProjectFiles(folder)
    if not files.has("Cargo.toml"):
        return None
    manifest = files.toml("Cargo.toml")
    locked = ("--locked",) if files.has("Cargo.lock") else ()
    workspace = table(manifest, "workspace")
    whole = ("--workspace",) if "workspace" in manifest and not workspace.get("default-members") else ()
    setup, test = ("cargo", "fetch", *locked), ("cargo", "test", *whole, *locked)
    decided = "Cargo.lock" if locked else "Cargo.toml"
    named = "[workspace]" if whole else "Cargo.toml"
    reason = f"{decided} → {' '.join(setup)}; {named} → {' '.join(test)}"
    return Detected("cargo", reason, setup, test, likely=_has_tests(files))


def _has_tests(files: ProjectFiles) -> bool:
    """Return whether a source has a test. The Rust part of a package for Python or Node often has none."""
    sources = files.names("*.rs", levels=_LEVELS)[:_MAX_READ]
    return any(_TEST.search(files.beginning(name, _LONGEST_BEGINNING)) for name in sources)
