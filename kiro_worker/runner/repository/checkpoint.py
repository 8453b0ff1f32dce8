"""Checkpoints: every finished task is pushed to a ref of its own, from which a later build resumes, so that work that
was paid for is never lost.

The ref ``refs/kiro-worker/checkpoints/<branch>`` can hold untested work, and is not meant for review; the pull
request's branch moves only after the gate. Everyone who may push can write to it, so the worker records each checkpoint
before it pushes it, and resumes only from one that it recorded. Any other commit there is ignored and replaced.

Trailers classify the commits: ``Kiro-Worker-Task`` names a task that the commit finished, ``Kiro-Worker-Partial`` marks
the leftovers of a turn that failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.records.checkpoints import CheckpointRecord, checkpoint_ref, note_checkpoint, read_checkpoint
from kiro_worker.runner.repository.checkout import descends, fetch_contents
from kiro_worker.runner.repository.commit import rebased
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.git_answers import TRANSIENT
from kiro_worker.runner.repository.lfs import upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiro_worker.records.table import RecordsTable
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.request import BuildRequest

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
    """The checkpoint of ``checkout``'s branch. Without ``records``, no commit on the server counts as the worker's.

    ``commit`` is the worker's own commit that the server has: empty if there is none, or before :meth:`find`.
    ``has_work`` is whether it holds work that the branch lacks. ``ignored`` is the last commit on the server that the
    worker did not write, and ``failure`` is why the last push failed, ``None`` if it did not.
    """

    def __init__(
        self, request: BuildRequest, checkout: Checkout, records: RecordsTable | None, log: Callable[[str], None]
    ) -> None:
        self.ref = checkpoint_ref(checkout.branch)
        self.commit = ""
        self.has_work = False
        self.ignored = ""
        self.failure: GitFailed | None = None
        self._request = request
        self._checkout = checkout
        self._records = records
        self._log = log
        self._base = checkout.commit
        self._server: str | None = None
        self._written: set[str] = set()

    def find(self) -> str:
        """Return :attr:`commit`. Looks the ref up if neither the checkout nor a push has determined where it is.

        Raises :class:`GitFailed`.
        """
        if self._server is None:
            fetched = None if self._written else self._checkout.checkpoint
            self._see(self._look_up() if fetched is None else fetched)
        return self.commit

    def resume(self) -> Start:
        """Return where to resume, and log it.

        That is the checkpoint if it descends from the branch's head, or its commits rebased onto that head if they
        apply cleanly, or else the head itself. Raises :class:`GitFailed` if the server cannot say what it has.
        """
        head = self._checkout.commit
        from_scratch = Start(head, head)
        git = self._checkout.git
        try:
            if not self.find() or self.commit in (head, self.recorded_base):
                return from_scratch
            self.has_work = True
            if self._checkout.checkpoint != self.commit:
                git.network("fetch", "--quiet", "--no-tags", "--no-filter", "origin", f"+{self.ref}:{_FETCHED}")
            base = head if descends(git, self.commit, head) else self._base_of_work()
            if base == self.commit:
                self.has_work = False
                return from_scratch
            # This range is the work of a few turns, and all of it will be read.
            fetch_contents(self._checkout, f"{base}..{self.commit}")
        except GitFailed as failure:
            if failure.answer.cause in TRANSIENT:
                # The work is there. Starting over would pay for it again.
                raise
            self._log(f"the checkpoint {self.ref} cannot be used, so the work starts over: {failure}")
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

    def rebase(self, checkout: Checkout) -> None:
        """From now on, save work that is based on the commit of ``checkout``, to which the branch has moved."""
        self._checkout, self._base = checkout, checkout.commit

    def save(self, commit: str, base: str = "") -> bool:
        """Push ``commit`` to the checkpoint, and return whether the server has it now.

        ``base`` is the branch's commit below the work, the checked-out one if it is not given. The push replaces only
        the commit that the worker knows of. A failure is logged and does not stop the agent.
        """
        base = base or self._base
        try:
            # If another push to the ref comes first, its commit is replaced in the second attempt.
            self.failure = self._push(commit, base) and self._push(commit, base)
        except GitFailed as failure:
            self.failure = failure
        if self.failure:
            self._log(f"the checkpoint {self.ref} could not be pushed: {self.failure}")
            return False
        self.has_work = commit != base
        return True

    def removal(self) -> tuple[str, str]:
        """Return the option and the refspec with which another push deletes the checkpoint atomically."""
        return self._lease, f":{self.ref}"

    def removed(self) -> None:
        """Record that such a push deleted it."""
        self._server, self.commit, self.has_work = "", "", False

    def drop(self) -> None:
        """Delete the checkpoint, if the worker wrote it, because the branch contains its work or it holds none."""
        try:
            if not self.find():
                return
            lease, refspec = self.removal()
            self._checkout.git.network("push", "--quiet", "--no-verify", lease, "origin", refspec)
            self.removed()
        except GitFailed as failure:
            if self._is_gone():
                self.removed()
            else:
                self._log(f"the checkpoint {self.ref} could not be removed: {failure}")

    @property
    def is_up_to_date(self) -> bool:
        """Whether the server has the last commit that was to be saved."""
        return self.has_work and self.failure is None

    @property
    def _lease(self) -> str:
        """The option that makes a push replace only the commit that the worker has seen on the server."""
        return f"--force-with-lease={self.ref}:{self._server or ''}"

    @cached_property
    def _record(self) -> CheckpointRecord | None:
        """What an earlier build recorded, or this one before its first push."""
        if self._records is None:
            return None
        return read_checkpoint(self._records, self._request.repository, self._request.branch)

    @property
    def recorded_base(self) -> str:
        """The branch's commit below the work of an earlier build; empty if nothing is recorded."""
        return self._record.base if self._record else ""

    def _push(self, commit: str, base: str) -> GitFailed | None:
        """Record and push ``commit``. Return why the server still has another one, ``None`` if it has ``commit``.

        Raises :class:`GitFailed` if another attempt cannot succeed.
        """
        git = self._checkout.git
        before = self.find(), self._server
        if self._records is not None:
            record = CheckpointRecord(commit, self.commit, base, self._request.owner)
            try:
                note_checkpoint(self._records, self._request.repository, self._request.branch, record)
            except (BotoCoreError, ClientError) as error:
                raise GitFailed("push", f"the checkpoint could not be recorded: {error}") from None
        self._written |= {commit, self.commit}
        try:
            upload(git, commit)
            git.network("push", "--quiet", "--no-verify", self._lease, "origin", f"{commit}:{self.ref}")
        except GitFailed as failure:
            self._server = None
            if self._find_after(failure) == commit:
                return None
            if (self.commit, self._server) == before:
                raise
            return failure
        self._server = self.commit = commit
        return None

    def _find_after(self, failure: GitFailed) -> str:
        try:
            return self.find()
        except GitFailed:
            raise failure from None

    def _look_up(self) -> str:
        return self._checkout.git.remote_refs(self.ref).get(self.ref, "")

    def _see(self, commit: str) -> None:
        """Note that the server's ref is at ``commit``, and whether the worker wrote that."""
        self._server = commit
        is_own = commit in self._written or (bool(commit) and self._record is not None and self._record.names(commit))
        self.commit = commit if is_own else ""
        if not commit or is_own:
            return
        self.ignored = commit
        known = "was not recorded by this worker" if self._records else "cannot be compared with the worker's records"
        self._log(f"{self.ref} is at {commit}, which {known}, so it is ignored")
        # So that no later command believes that the branch's history leads there.
        self._checkout.git.run("update-ref", "-d", self.ref)

    def _is_gone(self) -> bool:
        try:
            return not self._look_up()
        except GitFailed:
            return False

    def _base_of_work(self) -> str:
        """Return the branch's commit on which the work of the checkpoint is based; the checkpoint itself if the branch
        contains all of it.

        The record knows it. Where the branch was rewritten, their last common commit would be an older one, and commits
        that were removed from the branch would count as the agent's work.
        """
        git, head = self._checkout.git, self._checkout.commit
        if descends(git, head, self.commit):
            return self.commit
        if self.recorded_base and descends(git, self.commit, self.recorded_base):
            return self.recorded_base
        return git.text("merge-base", head, self.commit)

    def _start_at(self, tip: str) -> Start:
        """Return a start at ``tip``. The commits above its last finished task are leftovers of a turn that failed."""
        head = self._checkout.commit
        task_ids = f"%(trailers:key={TASK_TRAILER},valueonly,separator=%x2C)"
        lines = self._checkout.git.text("log", f"--format=%H {task_ids}", f"{head}..{tip}").splitlines()
        finished = next((line[:40] for line in lines if line[41:].strip()), head)
        return Start(tip, finished)
