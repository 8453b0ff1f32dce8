"""Copying and linking trees of files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from infra.errors import SynthError


def files_in(path: Path) -> list[Path]:
    """Return ``path`` itself, or every file below it except bytecode, sorted."""
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    if not path.is_file():
        raise SynthError(f"{path} is missing, but packaging needs it: restore it from git.")
    return [path]


def copy_library(sources: Iterable[Path], target: Path) -> None:
    """Copy modules and packages, without bytecode, into the new folder ``target``."""
    target.mkdir(parents=True)
    for source in sources:
        for file in files_in(source):
            copied = target / file.relative_to(source.parent)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied)


def link_tree(source: Path, target: Path) -> None:
    """Hard-link thousands of files instead of copying them: installed files are replaced, never edited in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, copy_function=_link, dirs_exist_ok=True)


def _link(source: str, target: str) -> None:
    # An earlier tree may have linked its own file here. Unlink it, because writing through the link would change it.
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
