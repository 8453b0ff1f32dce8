"""Finds the push that an earlier attempt of this execution made to the branch, if the answer was lost or the attempt
ended before it could report the push.

The execution recorded every commit before it pushed it. The text of a commit does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.runner.repository.checkout import descends

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kiro_worker.runner.repository.checkout import Checkout


def pushed_since_pinned(checkout: Checkout, recorded: Iterable[str]) -> str:
    """Return the commit in ``recorded`` that is the pinned commit or on top of it on the branch; empty if none is.

    A redrive that validates the branch again pins what the earlier attempt pushed.
    """
    git = checkout.git
    above = {checkout.commit, *git.text("rev-list", f"{checkout.commit}..{checkout.head}").split()}
    commit = next(iter(above.intersection(recorded)), "")
    if commit:
        # Read the patches once with network access, so that their blobs are local for later readers.
        plain_patch = ("-p", "--no-ext-diff", "--no-textconv")
        git.network("diff-tree", *plain_patch, checkout.commit, commit)
        git.network("log", *plain_patch, "--format=", f"{checkout.commit}..{commit}")
    return commit


def pushed_before_pinned(checkout: Checkout, recorded: Iterable[str]) -> str:
    """Return the commit in ``recorded`` from which the pinned commit descends; empty if none is.

    Then another push came on top of it. May fetch the rest of the history. Raises :class:`GitFailed`.
    """
    return next((commit for commit in sorted(recorded) if descends(checkout.git, checkout.commit, commit)), "")
