"""Push the work to the branch: a fast-forward from the commit that the branch is known to be at, or no push at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.repository.checkout import BLOBLESS
from kiro_worker.runner.repository.commit import file_in
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.lfs import upload
from kiro_worker.spec import read_task_list

if TYPE_CHECKING:
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.checkpoint import Checkpoint

_MOVED_REMEDY: Final = "redrive the execution, or move the card back, to validate and build the branch's new head"
_REJECTED_REMEDY: Final = "follow the server's answer in the reason, then redrive the execution"


class BranchMoved(BuildStopped):
    """Another push moved the branch during the build; it is at ``head`` now."""

    def __init__(self, stop: BuildStopped, head: str) -> None:
        super().__init__(stop.outcome, stop.reason, stop.remedy, stop.details, stop.owner, stop.error)
        self.head = head


def publish(checkout: Checkout, commit: str, checkpoint: Checkpoint, tasks_path: str) -> None:
    """Push ``commit`` to the branch and delete the checkpoint, which is no longer needed, in the same push.

    Raises :class:`BranchMoved` if another push moved the branch first, and :class:`BuildStopped` (PushRejected) if the
    server rejects the push for another reason. A lease on the pinned commit makes the push a compare-and-set, so that
    it never overwrites another push, not even a fast-forward. If the server's answer is lost, the branch is looked up,
    so that a successful push is never reported as rejected.

    Raises :class:`BuildStopped` (Incomplete) if the list of tasks at ``tasks_path`` in ``commit`` has an open one.
    """
    require_complete(checkout, commit, tasks_path)
    reference = f"refs/heads/{checkout.branch}"
    if not checkout.git.succeeds("merge-base", "--is-ancestor", checkout.commit, commit):
        raise BuildStopped(
            Outcome.PUSH_REJECTED,
            f"{commit[:12]} does not descend from {checkout.commit[:12]}",
            "redrive the execution",
        )
    upload_lfs_objects(checkout, commit)
    push = ("push", "--quiet", "--no-verify", f"--force-with-lease={reference}:{checkout.commit}")
    if checkpoint.commit and _push_with_removal(checkout, push, f"{commit}:{reference}", checkpoint):
        return
    try:
        checkout.git.network(*push, "origin", f"{commit}:{reference}")
    except GitFailed as failure:
        head = _remote_head(checkout, reference)
        if head == commit or (head and _has_arrived(checkout, commit, head)):
            return
        raise _stop(checkout, failure, head, _kept(checkpoint)) from None


def _stop(checkout: Checkout, failure: GitFailed, head: str | None, kept: str) -> BuildStopped:
    """Return why the push failed. ``head`` is where the server's branch is now, see :func:`_remote_head`."""
    branch = checkout.branch
    if head == "":
        return BuildStopped(
            Outcome.PUSH_REJECTED,
            f"{branch} cannot be pushed: the branch was deleted during the build",
            f"restore it with git push origin {checkout.commit}:refs/heads/{branch}, and reopen its pull request, then"
            f" redrive the execution; or move the card out of the board's target status. {kept}",
            failure.error,
            FaultOwner.CARD,
        )
    if head not in (None, checkout.commit):
        stop = BuildStopped(
            Outcome.PUSH_REJECTED,
            f"the push to {branch} was rejected: another push moved the branch during the build",
            f"{_MOVED_REMEDY}. {kept}",
            failure.error,
        )
        return BranchMoved(stop, head or "")
    stop = stop_because(failure, Outcome.PUSH_REJECTED, f"{branch} cannot be pushed", _REJECTED_REMEDY)
    return _with_kept(stop, kept)


def with_kept_work(stop: BuildStopped, checkpoint: Checkpoint) -> BuildStopped:
    """Return ``stop``, whose remedy also says where the work of the build is."""
    return _with_kept(stop, _kept(checkpoint))


def _with_kept(stop: BuildStopped, kept: str) -> BuildStopped:
    return BuildStopped(stop.outcome, stop.reason, f"{stop.remedy}. {kept}", stop.details, stop.owner, stop.error)


def _kept(checkpoint: Checkpoint) -> str:
    in_checkpoint = f" and in its checkpoint {checkpoint.ref}" if checkpoint.is_up_to_date else ""
    return f"The work of this run is in its artifacts as changes.patch{in_checkpoint}"


def _has_arrived(checkout: Checkout, commit: str, head: str) -> bool:
    """Return whether ``head``, another push, contains ``commit``: the push arrived, and only its answer was lost."""
    git = checkout.git
    try:
        git.network("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", BLOBLESS, "origin", head)
        return git.succeeds("merge-base", "--is-ancestor", commit, head)
    except GitFailed:
        return False


def require_complete(checkout: Checkout, commit: str, tasks_path: str) -> None:
    """Raise :class:`BuildStopped` (Incomplete) if the list of tasks at ``tasks_path`` in ``commit`` has an open one."""
    task_list = read_task_list(file_in(checkout, commit, tasks_path) or "", tasks_path)
    if task_list.open:
        raise BuildStopped(
            Outcome.INCOMPLETE,
            f"{task_list.completion}: {task_list.open[0].name} is open in {commit[:12]}, so it was not pushed",
            "redrive the execution or move the card back, which continues with the open tasks",
        )


def upload_lfs_objects(checkout: Checkout, commit: str) -> None:
    """Upload the LFS objects of ``commit`` that the server lacks. Raises :class:`BuildStopped` (PushRejected)."""
    try:
        upload(checkout.git, commit)
    except GitFailed as failure:
        raise stop_because(
            failure,
            Outcome.PUSH_REJECTED,
            f"{checkout.branch} was not pushed, because its LFS objects could not be uploaded",
            "check that the git credentials can write to the repository and that the account has LFS quota left, then"
            " redrive the execution",
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


def _remote_head(checkout: Checkout, reference: str) -> str | None:
    """Return the server's commit of ``reference``: empty if it is missing, ``None`` if the server does not answer."""
    try:
        return checkout.git.remote_refs(reference).get(reference, "")
    except GitFailed:
        return None
