"""The files that the branch, and then the work on it, add or change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.runner.repository.checkout import fetch_default_branch
from kiro_worker.runner.repository.entries import decode_path

if TYPE_CHECKING:
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.git import Git


def changed_by_branch(checkout: Checkout) -> frozenset[str]:
    """Return the files that differ between the pinned commit and its base on the default branch.

    Where the history that was fetched does not show the base, the default branch itself stands for it. That only adds
    files: those that the default branch has changed since.
    """
    git, default = checkout.git, fetch_default_branch(checkout)
    knows_base = git.succeeds("merge-base", default, checkout.commit)
    base = git.text("merge-base", default, checkout.commit) if knows_base else default
    return changed_between(git, base, checkout.commit)


def changed_between(git: Git, before: str, after: str) -> frozenset[str]:
    """Return the files that differ between two commits."""
    names = git.run("diff-tree", "-r", "-z", "--no-renames", "--name-only", before, after)
    return frozenset(name for name in decode_path(names).split("\0") if name)


def rewritten_between(git: Git, before: str, after: str) -> frozenset[str]:
    """Return the files of which ``after`` lacks lines that ``before`` has; binary files if they differ at all."""
    lines = git.run("diff-tree", "-r", "-z", "--no-renames", "--numstat", before, after)
    entries = (line.split("\t", 2) for line in decode_path(lines).split("\0") if line.count("\t") >= 2)
    return frozenset(path for _added, removed, path in entries if removed != "0")
