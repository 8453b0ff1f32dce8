"""The names and the location of a spec's files."""

from __future__ import annotations

from typing import Final

TASKS_FILE: Final = "tasks.md"
REQUIREMENTS_FILES: Final = ("requirements.md", "bugfix.md")
DESIGN_FILE: Final = "design.md"
LARGEST_FILE: Final = 512_000
"""The maximum size of a spec file in bytes: GitHub returns no more of a blob's text, and no agent reads more."""


def spec_folder(spec_root: str, branch: str) -> str:
    """The folder of a branch's spec: ``.kiro/specs/feature-discounts`` for ``feature/discounts``."""
    return f"{spec_root.strip('/')}/{branch.replace('/', '-')}"
