"""The branch moves: a fast-forward from the commit it is known to be at, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.lfs import upload

if TYPE_CHECKING:
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.checkpoint import Checkpoint


class BranchMoved(BuildStopped):
    """Somebody pushed to the branch meanwhile; it is at ``head`` now."""

    def __init__(self, stop: BuildStopped, head: str) -> None:
        super().__init__(stop.outcome, stop.reason, stop.remedy, stop.details)
        self.head = head


def publish(checkout: Checkout, commit: str, checkpoint: Checkpoint) -> None:
    """Push ``commit`` to the branch, and in the same moment remove the checkpoint, which has served its purpose. Raises
    :class:`BuildStopped` (PushRejected) when the branch did not move, and :class:`BranchMoved` when that is because somebody
    else moved it.

    A lease on the pinned commit makes it a compare-and-set: not even a fast-forward of somebody else's push is
    overwritten. An answer that was lost is looked up, so that a push that took place is never called rejected.
    """
    reference = f"refs/heads/{checkout.branch}"
    if not checkout.git.succeeds("merge-base", "--is-ancestor", checkout.commit, commit):
        raise BuildStopped(Outcome.PUSH_REJECTED, f"{commit[:12]} does not descend from {checkout.commit[:12]}")
    _upload(checkout, commit)
    push = ("push", "--quiet", "--no-verify", f"--force-with-lease={reference}:{checkout.commit}")
    if checkpoint.commit and _push_both(checkout, push, f"{commit}:{reference}", checkpoint):
        return
    try:
        checkout.git.network(*push, "origin", f"{commit}:{reference}")
    except GitFailed as failure:
        head = _remote_head(checkout, reference)
        if head == commit:
            return
        stop = BuildStopped(
            Outcome.PUSH_REJECTED,
            f"{checkout.branch} did not accept the push: {_why(failure.error)}",
            "redrive the execution, or move the card back: the new head is then validated and built."
            " The work of this run is in its checkpoint, and in its artifacts as changes.patch",
            failure.error,
        )
        if head not in ("", checkout.commit):
            raise BranchMoved(stop, head) from None
        raise stop from None


def _upload(checkout: Checkout, commit: str) -> None:
    """The objects of LFS come before what refers to them."""
    try:
        upload(checkout, commit)
    except GitFailed as failure:
        raise BuildStopped(
            Outcome.PUSH_REJECTED,
            f"{checkout.branch} was not pushed, for its LFS objects could not be uploaded: {_why(failure.error)}",
            "check that the git credentials may write to the repository and that the account's LFS quota is not used"
            " up, and redrive the execution",
            failure.error,
        ) from None


def _push_both(checkout: Checkout, push: tuple[str, ...], refspec: str, checkpoint: Checkpoint) -> bool:
    """Both or neither, so that no work is lost. A server that cannot do that, or does not let the checkpoint go, gets
    the branch alone; why it does not take that is then told by that push.
    """
    lease, removal = checkpoint.removal()
    try:
        checkout.git.network(*push, lease, "--atomic", "origin", refspec, removal)
    except GitFailed:
        return False
    checkpoint.removed()
    return True


def _remote_head(checkout: Checkout, reference: str) -> str:
    try:
        return checkout.git.network("ls-remote", "origin", reference).partition("\t")[0]
    except GitFailed:
        return ""


def _why(error: str) -> str:
    if "stale info" in error or "fetch first" in error or "non-fast-forward" in error or "cannot lock ref" in error:
        return "somebody pushed to it meanwhile"
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    # "remote rejected" carries the server's own reason (a protected branch, a missing scope); the last line never does.
    telling = [line for line in lines if "rejected]" in line or line.startswith(("fatal:", "remote: error"))]
    return (telling or lines or ["git gave no reason"])[-1]
