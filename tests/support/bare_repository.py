"""A bare repository on disk, written with the worker's own git and without a server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kiro_worker.runner.repository.git import Git

if TYPE_CHECKING:
    from pathlib import Path


def bare_repository(folder: Path) -> Git:
    git = Git(
        folder / "repository.git",
        work_tree=folder / "files",
        home=folder / "home",
        url="",
        credentials=None,
        parent=os.environ,
    )
    git.run("init", "--quiet", "--bare", "--template=", str(git.directory))
    return git


def write_blob(git: Git, content: bytes) -> str:
    return git.run("hash-object", "-w", "--stdin", stdin=content).decode().strip()


def write_commit(git: Git, entries: dict[bytes, tuple[str, str]], *parents: str) -> str:
    """A commit that adds ``entries``, path to mode and object, to what the index holds."""
    lines = (f"{mode} {oid}\t".encode() + path + b"\0" for path, (mode, oid) in entries.items())
    git.run("update-index", "-z", "--index-info", stdin=b"".join(lines))
    options = [word for parent in parents for word in ("-p", parent)]
    return git.text("commit-tree", git.text("write-tree"), *options, "-m", "Change")
