"""The names and the location of a spec's files."""

from __future__ import annotations

import re
from typing import Final

from kiro_worker.spec.text import invisible_character

TASKS_FILE: Final = "tasks.md"
REQUIREMENTS_FILES: Final = ("requirements.md", "bugfix.md")
DESIGN_FILE: Final = "design.md"
LARGEST_FILE: Final = 512_000
"""The maximum size of a spec file in bytes: GitHub returns no more of a blob's text, and no agent reads more."""

# The same characters as in branch names: a folder is named after a branch, and both reach command lines.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+#-]*")
_LONGEST_PATH: Final = 300


def spec_folder(spec_root: str, branch: str) -> str:
    """The folder of a branch's spec: ``.kiro/specs/feature-discounts`` for ``feature/discounts``."""
    return f"{spec_root.strip('/')}/{branch.replace('/', '-')}"


def named_spec_folder(spec_root: str, text: str) -> str:
    """The spec folder that ``text`` names: a folder below ``spec_root``, or a path that begins with it.

    Raises :class:`ValueError`, which says why it names none.
    """
    if hidden := invisible_character(text):
        raise ValueError(f"it contains an invisible character ({hidden})")
    below = text.removeprefix(f"{spec_root}/").removesuffix("/")
    if below == text.removesuffix("/") and "/" in below:
        raise ValueError(f"it is a path that does not begin with {spec_root}/")
    if problem := next(filter(None, map(folder_name_problem, below.split("/"))), None):
        raise ValueError(problem)
    if len(below) > _LONGEST_PATH:
        raise ValueError(f"it is longer than {_LONGEST_PATH} characters")
    return f"{spec_root}/{below}"


def folder_name_problem(name: str) -> str | None:
    """Why a spec folder, or a folder above it, cannot have this name; ``None`` if it can."""
    if _NAME.fullmatch(name):
        return None
    return "a folder's name must have only letters, digits and . _ + # -, and begin with a letter, a digit or _"
