"""Rust packages and workspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.runner.gate.ecosystems.detected import Detected
from kiro_worker.runner.gate.ecosystems.project_files import ProjectFiles, table

if TYPE_CHECKING:
    from pathlib import Path


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
    return Detected("cargo", f"{decided} → {' '.join(setup)}; {named} → {' '.join(test)}", setup, test)
