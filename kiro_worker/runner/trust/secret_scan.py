"""Searches the agent's changes for the runner's own secrets.

An agent knows its own key and can write it into a file, which must never reach a branch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.commit import changes_between
from kiro_worker.runner.repository.lfs import new_pointers, path_with_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiro_worker.runner.repository.checkout import Checkout


def require_no_secret(content: bytes, contains_secret: Callable[[bytes], bool]) -> None:
    """Raise :class:`BuildStopped` (GuardTripped) when ``content``, a patch or a history, contains a secret."""
    if contains_secret(content):
        raise _secret_found()


def require_no_secret_in_lfs(checkout: Checkout, commits: str, contains_secret: Callable[[bytes], bool]) -> None:
    """Raise :class:`BuildStopped` (GuardTripped) when an LFS object that ``commits`` add contains a secret."""
    git = checkout.git
    if git.lfs and path_with_secret(git, new_pointers(git, commits), contains_secret):
        raise _secret_found()


def require_no_secret_in_work(checkout: Checkout, commit: str, contains_secret: Callable[[bytes], bool]) -> None:
    """Raise :class:`BuildStopped` (GuardTripped) when anything that ``commit`` adds to the branch has a secret."""
    require_no_secret(changes_between(checkout, commit).history, contains_secret)
    require_no_secret_in_lfs(checkout, f"{checkout.commit}..{commit}", contains_secret)


def _secret_found() -> BuildStopped:
    return BuildStopped(
        Outcome.GUARD_TRIPPED,
        "the agent's change contains a secret of this installation, so it was neither kept nor pushed",
        "find the cause in agent.log, and replace the secret",
    )
