"""Checks that the server accepts the worker's pushes, before the agent costs anything.

Only a push that changes something proves that: ``git push --dry-run`` stops before the server's rules, and a push of
what is there already needs no permission. So the checkpoint's ref gets a new commit:

- the branch's commit, if there is no checkpoint; it holds no work, and is removed if the build ends without any
- the checkpoint's commits as rebased onto the branch's new head, if the branch has moved
- otherwise a copy of the checkpoint's commit with a later date, so that no work is lost
"""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.failures import stop_because
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.git_causes import FINAL
from kiro_worker.runner.sandbox.printable import printable_name

if TYPE_CHECKING:
    from kiro_worker.errors import BuildStopped
    from kiro_worker.records.checkpoints import KeptWork
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.checkpoint import Checkpoint
    from kiro_worker.runner.repository.git import Git

_COMMITTER: Final = re.compile(rb"^(committer [^\n]*> )(\d+)", re.MULTILINE)
_REMEDY: Final = (
    "let the account of the git credentials write to refs/kiro-worker/ and to the branch (permissions of the token,"
    " rulesets of the repository), then redrive the execution"
)


def check_push(checkout: Checkout, checkpoint: Checkpoint, start: KeptWork) -> KeptWork:
    """Push to the checkpoint's ref, and return where the agent starts, which is ``start`` or a copy of it.

    Raises :class:`BuildStopped` (PushRejected, or WorkerFailed if the server gave no usable answer), and
    :class:`GitFailed` if a checkpoint with work is not here, because it must not be replaced by less work.
    """
    kept = checkpoint.work
    if not start.is_empty and (kept is None or start.commit != kept.commit):
        checkpoint.save(start)
    elif kept and checkpoint.has_work:
        is_resumed = start.commit == kept.commit
        copy = _with_later_date(checkout.git, start if is_resumed else kept)
        checkpoint.save(copy)
        start = copy if is_resumed else start
    else:
        if kept and kept.commit == start.commit:
            # An earlier build ended before it could remove this ref.
            checkpoint.drop()
        checkpoint.save(start)
    if checkpoint.failure:
        raise _rejected(checkout, checkpoint, checkpoint.failure)
    return start


def _with_later_date(git: Git, work: KeptWork) -> KeptWork:
    """Return ``work`` with a copy of its commit that differs only in its date. Raises :class:`GitFailed`."""

    def later(match: re.Match[bytes]) -> bytes:
        return b"%b%d" % (match[1], max(int(time.time()), int(match[2]) + 1))

    headers, end, message = git.run("cat-file", "commit", work.commit).partition(b"\n\n")
    text = _COMMITTER.sub(later, headers, count=1) + end + message
    copy = git.run("hash-object", "-t", "commit", "-w", "--stdin", stdin=text).decode().strip()
    return replace(work, commit=copy, finished=copy if work.finished == work.commit else work.finished)


def _rejected(checkout: Checkout, checkpoint: Checkpoint, failure: GitFailed) -> BuildStopped:
    attempted = f"nothing can be pushed for {checkout.branch}, so the agent was not started"
    remedy = _REMEDY
    if failure.answer.cause not in FINAL and (blocking := _blocking_refs(checkout.git, checkpoint.ref)):
        attempted += f" ({checkpoint.ref} cannot exist beside {', '.join(blocking)}, left by a deleted branch)"
        remedy = f"git push origin --delete {shlex.join(blocking)}; then redrive the execution"
    return stop_because(failure, Outcome.PUSH_REJECTED, attempted, remedy)


def _blocking_refs(git: Git, ref: str) -> list[str]:
    """Return the server's refs that are a folder in the name of ``ref``, or have it as a folder in theirs.

    Like their branches, such refs cannot exist at the same time.
    """
    parts = ref.split("/")
    # The folder refs/kiro-worker/checkpoints itself is no checkpoint.
    folders = ["/".join(parts[:count]) for count in range(4, len(parts))]
    try:
        found = git.remote_refs(*folders, f"{ref}/*")
    except GitFailed:
        return []
    return sorted(printable_name(name) for name in found if name in folders or name.startswith(f"{ref}/"))
