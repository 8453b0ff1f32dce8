"""What of the kept work the branch's head lacks, so that a later build may add it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.runner.repository.checkout import descends

if TYPE_CHECKING:
    from kiro_worker.records.checkpoints import KeptWork
    from kiro_worker.records.runs import RunRecord
    from kiro_worker.runner.repository.checkout import Checkout


def base_of(checkout: Checkout, work: KeptWork) -> str:
    """Return the last commit of ``work``, or its base, below which nothing is to be added to the branch's head.

    That is ``work.commit`` if the head contains all of it. Empty if the work does not begin at its recorded base.

    If the head lacks the base, the branch was rewritten: only what is above the base is the agent's, and what is
    below it may be what was removed. Otherwise the head may contain the first part of the work. Adding that again
    could undo what a person changed in it.
    """
    git, head = checkout.git, checkout.commit
    if not work.base or not descends(git, work.commit, work.base):
        return ""
    if work.base == head or not descends(git, head, work.base):
        return work.base
    return git.text("merge-base", head, work.commit)


def was_pushed(checkout: Checkout, run: RunRecord | None, work: KeptWork) -> bool:
    """Return whether ``run``, which kept ``work``, pushed it to the branch, as its record says.

    The commits that were pushed are not those of the checkpoint: they may be one, or have another author. What a
    person removed from them must not come back.
    """
    if run is None:
        return False
    git, head = checkout.git, checkout.commit
    return any(descends(git, head, pushed) and not descends(git, work.base, pushed) for pushed in run.commits)
