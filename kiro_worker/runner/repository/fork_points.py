"""Where a branch left the default branch: the commits whose guarded files are trusted besides the default branch's own.

Any ancestor of the default branch is not enough. A pull request may contain a commit with a harmful steering file and
another one that removes it: reviewers see neither, and after the merge both are ancestors. Trusted are the states that
the default branch itself had, which are the commits on its first-parent chain, and what was merged into it, which are
the other parents of these commits. Of the chain, the newest commit that the branch contains counts. Of the merged
commits, the merge bases count: if there are several, each of them, because a merge takes each file from either side.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.repository.checkout import BLOBLESS, HISTORY_DEPTH, SHALLOW
from kiro_worker.runner.repository.git import GitFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.git import Git

DEPTH: Final = 2000
"""How many commits of each branch are searched. Without their trees they are a few hundred kilobytes."""
_LONGEST_CHAIN: Final = 100_000


@contextmanager
def fork_points(checkout: Checkout, default: str) -> Iterator[Iterator[tuple[Git, str]]]:
    """Yield an iterator over the fork points of the pinned commit, each with a repository that has its tree.

    The search goes as far as the iterator is consumed. The checkout is not touched: what its history lacks is fetched
    into a repository that is removed again. Commits that cannot be found are left out.
    """
    history = checkout.git.with_paths(directory=checkout.git.directory.parent / "history.git")
    try:
        yield _search(checkout, history, default)
    finally:
        shutil.rmtree(history.directory, ignore_errors=True)


def _search(checkout: Checkout, history: Git, default: str) -> Iterator[tuple[Git, str]]:
    git = checkout.git
    found = _fork_points(git, default, checkout.commit)
    yield from ((git, commit) for commit in found)
    # The history that was fetched may end too early, or contain only an older fork point.
    if (git.directory / "shallow").is_file() and checkout.fetch_mode in (BLOBLESS, SHALLOW):
        further = [commit for commit in _fetch_history(checkout, history, default) if commit not in found]
        yield from ((history, commit) for commit in further)


def _fetch_history(checkout: Checkout, history: Git, default: str) -> list[str]:
    """Fetch more history, with the trees of the fork points in it, which are returned."""
    git, commit = checkout.git, checkout.commit
    is_partial = checkout.fetch_mode == BLOBLESS
    options = (f"--depth={DEPTH}", "--filter=tree:0") if is_partial else (f"--depth={HISTORY_DEPTH}",)
    try:
        history.run("init", "--bare", "--quiet", "--template=", str(history.directory))
        history.run("config", "remote.origin.url", git.url)
        history.fetch_objects([default, commit], *options)
        found = _fork_points(history, default, commit)
        if is_partial and found:
            trees = (history.text("log", "-1", "--format=%T", commit) for commit in found)
            history.fetch_objects(dict.fromkeys(trees), BLOBLESS)
    except GitFailed:
        return []
    # Only after the fetches, so that git does not offer the server the commits that the checkout has.
    borrowed = history.directory / "objects" / "info" / "alternates"
    borrowed.parent.mkdir(exist_ok=True)
    borrowed.write_text(f"{git.directory / 'objects'}\n")
    return found


def _fork_points(git: Git, default: str, commit: str) -> list[str]:
    """Return the fork points that the repository's history shows."""
    # The states of the default branch that the branch lacks, the newest first, each with its parents.
    log = ("log", "--first-parent", "--format=%H %P", f"--max-count={_LONGEST_CHAIN}", default, f"^{commit}", "--")
    states = [line.split() for line in git.text(*log).splitlines()]
    if not states:
        return [default]
    newest = states[-1][1:2]
    merged = {parent for _, *parents in states for parent in parents[1:]}
    found = [state for state in newest if git.succeeds("merge-base", "--is-ancestor", state, commit)]
    if merged and git.succeeds("merge-base", default, commit):
        bases = git.text("merge-base", "--all", default, commit).split()
        found += [base for base in bases if base in merged and base not in found]
    return found
