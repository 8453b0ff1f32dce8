"""Rebase finished work onto another push that came first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.checkout import fetch_contents
from kiro_worker.runner.repository.commit import rebased
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.git_causes import TRANSIENT
from kiro_worker.runner.repository.publish import with_kept_work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kiro_worker.runner.effects import Prepared
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.publish import BranchMoved
    from kiro_worker.runner.repository.submodules import Submodules


def rebase_onto_push(
    prepared: Prepared,
    commit: str,
    moved: BranchMoved,
    load_submodules: Callable[[Checkout], Submodules],
    say: Callable[[str], None],
) -> tuple[Prepared, str, Mapping[str, str]]:
    """Return what is prepared for the branch's new head, ``commit`` rebased onto it, and what became of each commit.

    Raises :class:`BuildStopped`: ``moved`` if the new head cannot be fetched, PushRejected if the work does not apply
    cleanly to it, WorkerFailed if the server gives no usable answer, and what the guard raises.
    """
    checkout = prepared.checkout
    git, reference = checkout.git, f"refs/remotes/origin/{checkout.branch}"
    try:
        fetch = ("fetch", "--quiet", "--no-tags", "--no-filter", "origin")
        git.network(*fetch, f"+refs/heads/{checkout.branch}:{reference}")
        head = git.text("rev-parse", "--verify", reference)
        # A push that restores an old file brings no blob that the server believes is here: see fetch_objects.
        fetch_contents(checkout, f"{head}^{{tree}}")
    except GitFailed as failure:
        raise _outage(failure, prepared) or moved from None
    is_ahead = git.succeeds("merge-base", "--is-ancestor", checkout.commit, head)
    try:
        moved_commits = rebased(checkout, checkout.commit, commit, head, say) if is_ahead else {}
    except GitFailed as failure:
        raise _outage(failure, prepared) or failure from None
    tip = moved_commits.get(commit, "")
    if not tip or tip == head:
        reason = f"{moved.reason}, and the work does not apply cleanly to that push"
        raise BuildStopped(moved.outcome, reason, moved.remedy, moved.details)
    # Forget the default branch's commit, so that it is fetched again: the agent may have worked for hours.
    new_checkout = replace(checkout, commit=head, head=head, default="")
    prepared.guard.require_trusted(new_checkout)
    # A file that was not guarded before can be guarded now: the other push may have added a link that leads to it.
    prepared.guard.require_unchanged(new_checkout, head, tip)
    submodules = load_submodules(new_checkout)
    return replace(prepared, checkout=new_checkout, submodules=submodules), tip, moved_commits


def _outage(failure: GitFailed, prepared: Prepared) -> BuildStopped | None:
    """Return the stop for a server that gave no usable answer, which decides nothing about the work."""
    if failure.answer.cause not in TRANSIENT:
        return None
    attempted = f"{prepared.checkout.branch} has moved, and the work cannot be rebased onto its new head"
    return with_kept_work(stop_because(failure, Outcome.WORKER_FAILED, attempted, ""), prepared.checkpoint)
