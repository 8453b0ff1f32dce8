"""The commit at which a branch left the default branch. Only an error message needs it, so it may stay unknown."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.repository.checkout import BLOBLESS
from kiro_worker.runner.repository.git import GitFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.git import Git

DEPTH: Final = 2000
"""How many commits of each branch are searched. Without their trees they are a few hundred kilobytes."""
_HEAD: Final = re.compile(r"^ref: refs/heads/(\S+)\tHEAD$", re.MULTILINE)


@contextmanager
def merge_base(checkout: Checkout, default: str, commit: str) -> Iterator[tuple[Git, str] | None]:
    """Yield the merge base of two commits, and a repository with the trees of it and of ``commit``.

    Yields ``None`` if the base is not known. The checkout is not touched: what its history lacks is fetched into a
    repository that is removed again.
    """
    git = checkout.git
    if git.succeeds("merge-base", default, commit):
        yield git, git.text("merge-base", default, commit)
        return
    # Otherwise the history is complete, or the server cannot leave trees out, and the fetch would be expensive.
    is_incomplete = (git.directory / "shallow").is_file() and checkout.fetch_mode == BLOBLESS
    history = git.with_paths(directory=git.directory.parent / "history.git")
    try:
        yield _fetch_base(history, git, default, commit) if is_incomplete else None
    finally:
        shutil.rmtree(history.directory, ignore_errors=True)


def default_branch_name(git: Git) -> str:
    """Return the name of the server's default branch; empty if the server does not name it."""
    try:
        found = _HEAD.search(git.network("ls-remote", "--symref", "origin", "HEAD"))
    except GitFailed:
        return ""
    return found[1] if found else ""


def _fetch_base(history: Git, git: Git, default: str, commit: str) -> tuple[Git, str] | None:
    try:
        history.run("init", "--bare", "--quiet", "--template=", str(history.directory))
        history.run("config", "remote.origin.url", git.url)
        history.fetch_objects([default, commit], f"--depth={DEPTH}", "--filter=tree:0")
        base = history.text("merge-base", default, commit)
        history.fetch_objects([history.text("log", "-1", "--format=%T", base)], BLOBLESS)
    except GitFailed:
        return None
    # Only after the fetches, so that git does not offer the server the commits that the checkout has.
    borrowed = history.directory / "objects" / "info" / "alternates"
    borrowed.parent.mkdir(exist_ok=True)
    borrowed.write_text(f"{git.directory / 'objects'}\n")
    return history, base
