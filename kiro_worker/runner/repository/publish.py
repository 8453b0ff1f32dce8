"""Push the work to the branch: a fast-forward from the commit that the branch is known to be at, or no push at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.commit import file_in
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.lfs import upload
from kiro_worker.spec import read_task_list

if TYPE_CHECKING:
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.checkpoint import Checkpoint

_MOVED_REMEDY: Final = "redrive the execution, or move the card back, to validate and build the branch's new head"
_REJECTED_REMEDY: Final = (
    "check the branch protection and the permissions of the git credentials, then redrive the execution"
)


class BranchMoved(BuildStopped):
    """Another push moved the branch during the build; it is at ``head`` now."""

    def __init__(self, stop: BuildStopped, head: str) -> None:
        super().__init__(stop.outcome, stop.reason, stop.remedy, stop.details)
        self.head = head


def publish(checkout: Checkout, commit: str, checkpoint: Checkpoint, tasks_path: str) -> None:
    """Push ``commit`` to the branch and delete the checkpoint, which is no longer needed, in the same push.

    Raises :class:`BranchMoved` if another push moved the branch first, and :class:`BuildStopped` (PushRejected) if the
    server rejects the push for another reason. A lease on the pinned commit makes the push a compare-and-set, so that
    it never overwrites another push, not even a fast-forward. If the server's answer is lost, the branch is looked up,
    so that a successful push is never reported as rejected.

    Raises :class:`BuildStopped` (Incomplete) if the list of tasks at ``tasks_path`` in ``commit`` has an open one.
    """
    _require_no_open_task(checkout, commit, tasks_path)
    reference = f"refs/heads/{checkout.branch}"
    if not checkout.git.succeeds("merge-base", "--is-ancestor", checkout.commit, commit):
        raise BuildStopped(
            Outcome.PUSH_REJECTED,
            f"{commit[:12]} does not descend from {checkout.commit[:12]}",
            "redrive the execution",
        )
    _upload_lfs_objects(checkout, commit)
    push = ("push", "--quiet", "--no-verify", f"--force-with-lease={reference}:{checkout.commit}")
    if checkpoint.commit and _push_with_removal(checkout, push, f"{commit}:{reference}", checkpoint):
        return
    try:
        checkout.git.network(*push, "origin", f"{commit}:{reference}")
    except GitFailed as failure:
        head = _remote_head(checkout, reference)
        if head == commit:
            return
        has_moved = head not in ("", checkout.commit)
        stop = BuildStopped(
            Outcome.PUSH_REJECTED,
            f"the push to {checkout.branch} was rejected: {_rejection_reason(failure.error)}",
            f"{_MOVED_REMEDY if has_moved else _REJECTED_REMEDY}. The work of this run is in its checkpoint, and in its"
            " artifacts as changes.patch",
            failure.error,
        )
        if has_moved:
            raise BranchMoved(stop, head) from None
        raise stop from None


def _require_no_open_task(checkout: Checkout, commit: str, tasks_path: str) -> None:
    task_list = read_task_list(file_in(checkout, commit, tasks_path) or "", tasks_path)
    if task_list.open:
        raise BuildStopped(
            Outcome.INCOMPLETE,
            f"{task_list.completion}: {task_list.open[0].name} is open in {commit[:12]}, so it was not pushed",
            "redrive the execution or move the card back, which continues with the open tasks",
        )


def _upload_lfs_objects(checkout: Checkout, commit: str) -> None:
    try:
        upload(checkout.git, commit)
    except GitFailed as failure:
        raise BuildStopped(
            Outcome.PUSH_REJECTED,
            f"{checkout.branch} was not pushed, because its LFS objects could not be uploaded:"
            f" {_rejection_reason(failure.error)}",
            "check that the git credentials can write to the repository and that the account has LFS quota left, then"
            " redrive the execution",
            failure.error,
        ) from None


def _push_with_removal(checkout: Checkout, push: tuple[str, ...], refspec: str, checkpoint: Checkpoint) -> bool:
    """Push the branch and delete the checkpoint in one atomic push, and return whether that succeeded.

    If the server does not support atomic pushes, or does not let the checkpoint be deleted, the caller pushes the
    branch alone. If the server rejects the branch as well, that second push reports why.
    """
    lease, removal = checkpoint.removal()
    try:
        checkout.git.network(*push, lease, "--atomic", "origin", refspec, removal)
    except GitFailed:
        return False
    checkpoint.removed()
    return True


def _remote_head(checkout: Checkout, reference: str) -> str:
    """Return the commit of ``reference`` on the server; empty if it is missing or the server does not answer."""
    try:
        return checkout.git.network("ls-remote", "origin", reference).partition("\t")[0]
    except GitFailed:
        return ""


def _rejection_reason(error: str) -> str:
    """Return the line of git's output that explains a rejected push."""
    if "stale info" in error or "fetch first" in error or "non-fast-forward" in error or "cannot lock ref" in error:
        return "another push moved the branch during the build"
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    # "remote rejected" carries the server's own reason (a protected branch, a missing scope); the last line never does.
    reasons = [line for line in lines if "rejected]" in line or line.startswith(("fatal:", "remote: error"))]
    return (reasons or lines or ["git gave no reason"])[-1]
