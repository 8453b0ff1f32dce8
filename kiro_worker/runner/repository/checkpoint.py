"""Checkpoints: every finished task is pushed to a separate branch, from which a later build resumes, so that work that
was paid for is never lost.

The worker owns ``kiro-worker/checkpoint/<branch>``. It can hold untested work, and is not meant for review; the pull
request's branch moves only after the gate. Trailers classify its commits: ``Kiro-Worker-Task`` names a task that
the commit finished, ``Kiro-Worker-Partial`` marks the leftovers of a turn that failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.runner.repository.checkout import CHECKPOINTS, descends, fetch_contents
from kiro_worker.runner.repository.commit import rebased
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.lfs import upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiro_worker.runner.repository.checkout import Checkout

TASK_TRAILER: Final = "Kiro-Worker-Task"
PARTIAL_TRAILER: Final = "Kiro-Worker-Partial"
_FETCHED: Final = "refs/kiro-worker/found"


@dataclass(frozen=True)
class Start:
    """Where the agent begins: at ``commit``.

    ``finished`` is the last commit without a half-done task, against which a turn's work is measured.
    """

    commit: str
    finished: str


class Checkpoint:
    """The checkpoint of ``checkout``'s branch.

    ``commit`` is its head on the server; empty if there is none, or if the worker has not looked it up yet.
    """

    def __init__(self, checkout: Checkout, log: Callable[[str], None]) -> None:
        self.branch = f"{CHECKPOINTS}/{checkout.branch}"
        self.reference = f"refs/heads/{self.branch}"
        self.commit = checkout.checkpoint or ""
        self._is_known = checkout.checkpoint is not None
        self._checkout = checkout
        self._log = log

    def find(self) -> str:
        """Return the checkpoint's commit, from the server if neither the checkout nor a push has determined it.

        Raises :class:`GitFailed`.
        """
        return self.commit if self._is_known else self.look_up()

    def look_up(self) -> str:
        """Return the checkpoint's commit on the server. Raises :class:`GitFailed`."""
        self._is_known = True
        self.commit = self._checkout.git.network("ls-remote", "origin", self.reference).partition("\t")[0]
        return self.commit

    def resume(self) -> Start:
        """Return where to resume, and log it.

        That is the checkpoint if it descends from the branch's head, or its commits rebased onto that head if they
        apply cleanly, or else the head itself.
        """
        head = self._checkout.commit
        from_scratch = Start(head, head)
        git = self._checkout.git
        try:
            if not self.find():
                return from_scratch
            if self._checkout.checkpoint != self.commit:
                git.network("fetch", "--quiet", "--no-tags", "--no-filter", "origin", f"+{self.reference}:{_FETCHED}")
            if not descends(git, self.commit, head) and descends(git, head, self.commit):
                return from_scratch
            base = git.text("merge-base", head, self.commit)
            # This range is the work of a few turns, and all of it will be read.
            fetch_contents(self._checkout, f"{base}..{self.commit}")
        except GitFailed as failure:
            self._log(f"the checkpoint {self.branch} cannot be used, so the work starts over: {failure}")
            return from_scratch
        if base == head:
            self._log(f"resuming from the checkpoint {self.commit[:12]} of an earlier build")
            return self._start_at(self.commit)
        if tip := rebased(self._checkout, base, self.commit, head, self._log):
            self._log(f"the branch has moved: the checkpoint {self.commit[:12]} is rebased onto it as {tip[:12]}")
            return self._start_at(tip)
        self._log(
            f"the branch has moved, and the checkpoint {self.commit[:12]} does not apply cleanly to it, so the work"
            " starts over"
        )
        return from_scratch

    def save(self, commit: str) -> bool:
        """Push ``commit`` to the checkpoint, and return whether the server has it now.

        The push replaces only the commit that the worker knows of. A failure is logged and does not stop the agent.
        """
        git = self._checkout.git
        try:
            upload(git, commit)
            git.network("push", "--quiet", "--no-verify", self._lease, "origin", f"{commit}:{self.reference}")
        except GitFailed as failure:
            try:
                current = self.look_up()
            except GitFailed:
                current = ""
            if current != commit:
                self._log(f"the checkpoint {self.branch} could not be pushed: {failure}")
                return False
        self.commit, self._is_known = commit, True
        return True

    def removal(self) -> tuple[str, str]:
        """Return the option and the refspec with which another push deletes the checkpoint atomically."""
        return self._lease, f":{self.reference}"

    def removed(self) -> None:
        """Record that such a push deleted it."""
        self.commit = ""

    @property
    def _lease(self) -> str:
        """The option that makes a push replace only the commit that the worker knows of."""
        return f"--force-with-lease={self.reference}:{self.commit}"

    def drop(self) -> None:
        """Delete the checkpoint, if it still exists, because the branch now contains its work."""
        if not self.commit:
            return
        lease, refspec = self.removal()
        try:
            self._checkout.git.network("push", "--quiet", "--no-verify", lease, "origin", refspec)
            self.commit = ""
        except GitFailed as failure:
            if self._is_gone():
                return
            self._log(f"the checkpoint {self.branch} could not be removed: {failure}")

    def _is_gone(self) -> bool:
        try:
            return not self.look_up()
        except GitFailed:
            return False

    def _start_at(self, tip: str) -> Start:
        """Return a start at ``tip``. The commits above its last finished task are leftovers of a turn that failed."""
        head = self._checkout.commit
        task_ids = f"%(trailers:key={TASK_TRAILER},valueonly,separator=%x2C)"
        lines = self._checkout.git.text("log", f"--format=%H {task_ids}", f"{head}..{tip}").splitlines()
        finished = next((line[:40] for line in lines if line[41:].strip()), head)
        return Start(tip, finished)
