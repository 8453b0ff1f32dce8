"""Checkpoints: every finished task is pushed to a ref of its own, from which a later build resumes, so that work that
was paid for is never lost.

The ref ``refs/kiro-worker/checkpoints/<branch>`` can hold untested work, and is not meant for review; the pull
request's branch moves only after the gate. Everyone who may push can write to it, so the worker records each checkpoint
before it pushes it, and resumes only from one that it recorded. Any other commit there is ignored and replaced.

The record also says which of the commits finish a task. Their trailers are for people: ``Kiro-Worker-Task`` names a
task that the commit finished, ``Kiro-Worker-Partial`` marks the leftovers of a turn that failed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.records.checkpoints import (
    CheckpointRecord,
    KeptWork,
    checkpoint_ref,
    note_checkpoint,
    read_checkpoint,
)
from kiro_worker.records.runs import read_run
from kiro_worker.runner.repository.checkout import fetch_contents
from kiro_worker.runner.repository.commit import rebased
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.git_causes import TRANSIENT
from kiro_worker.runner.repository.lfs import upload
from kiro_worker.runner.repository.resumable import base_of, was_pushed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kiro_worker.records.runs import RunRecord
    from kiro_worker.records.table import RecordsTable
    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.request import BuildRequest

_FETCHED: Final = "refs/kiro-worker/found"


class Checkpoint:
    """The checkpoint of ``checkout``'s branch. Without ``records``, no commit on the server counts as the worker's.

    ``commit`` is the worker's own commit that the server has: empty if there is none, or before :meth:`find`.
    ``has_work`` is whether it holds work that the branch lacks. ``ignored`` is the last commit on the server that the
    worker did not write, and ``failure`` is why the last push failed, ``None`` if it did not. ``done_before`` are the
    identities of the tasks that were done before this run, to be recorded with each push. ``moved`` is what became of
    the commits that :meth:`resume` rebased.
    """

    def __init__(
        self, request: BuildRequest, checkout: Checkout, records: RecordsTable | None, log: Callable[[str], None]
    ) -> None:
        self.ref = checkpoint_ref(checkout.branch)
        self.commit = ""
        self.has_work = False
        self.ignored = ""
        self.failure: GitFailed | None = None
        self.done_before: frozenset[str] = frozenset()
        self.moved: Mapping[str, str] = {}
        self._request = request
        self._checkout = checkout
        self._records = records
        self._log = log
        self._server: str | None = None
        self._written: dict[str, KeptWork] = {}

    def find(self) -> str:
        """Return :attr:`commit`. Looks the ref up if neither the checkout nor a push has determined where it is.

        Raises :class:`GitFailed`.
        """
        if self._server is None:
            fetched = None if self._written else self._checkout.checkpoint
            self._see(self._look_up() if fetched is None else fetched)
        return self.commit

    def resume(self) -> KeptWork:
        """Return the work to continue with, on top of the branch's head, and log it.

        That is the part of the checkpoint that the head lacks, rebased onto it if need be. It is empty if there is no
        such part, or it does not apply cleanly. Raises :class:`GitFailed` if the server cannot say what it has.
        """
        head = self._checkout.commit
        nothing = KeptWork.none_at(head)
        git = self._checkout.git
        try:
            self.find()
            work = self.work
            if work is None or work.is_empty or work.commit == head:
                return nothing
            self.has_work = True
            if work.spec_path not in ("", self._request.spec_path):
                # A card's field can name another spec without a commit on the branch.
                self._log(f"the checkpoint {work.commit[:12]} implements {work.spec_path}, so the work starts over")
                return nothing
            if self._checkout.checkpoint != work.commit:
                git.network("fetch", "--quiet", "--no-tags", "--no-filter", "origin", f"+{self.ref}:{_FETCHED}")
            base = base_of(self._checkout, work)
            if base == work.commit or was_pushed(self._checkout, self._earlier_run(), work):
                self.has_work = False
                return nothing
            if not base:
                self._log(f"the checkpoint {work.commit[:12]} has no recorded base, so the work starts over")
                return nothing
            # This range is the work of a few turns, and all of it will be read.
            fetch_contents(self._checkout, f"{base}..{work.commit}")
            rebase_from = "" if base == head else base
            return self._resumed(work, rebase_from) or nothing
        except GitFailed as failure:
            if failure.answer.cause in TRANSIENT:
                # The work is there. Starting over would pay for it again.
                raise
            self._log(f"the checkpoint {self.ref} cannot be used, so the work starts over: {failure}")
            return nothing

    def save(self, work: KeptWork) -> bool:
        """Push ``work`` to the checkpoint, and return whether the server has it now.

        The push replaces only the commit that the worker knows of. A failure is logged and does not stop the agent.
        """
        try:
            # If another push to the ref comes first, its commit is replaced in the second attempt.
            self.failure = self._push(work) and self._push(work)
        except GitFailed as failure:
            self.failure = failure
        if self.failure:
            self._log(f"the checkpoint {self.ref} could not be pushed: {self.failure}")
            return False
        self.has_work = not work.is_empty
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
                self._disown()

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
    def work(self) -> KeptWork | None:
        """The work up to :attr:`commit`, as recorded before it was pushed; ``None`` if there is no such commit."""
        return self._work_at(self.commit)

    @property
    def recorded_done_before(self) -> frozenset[str] | None:
        """The identities of the tasks that were done before this run, if an earlier build of the run recorded them."""
        record = self._record
        return record.done_before if record and record.execution == self._request.owner else None

    def _earlier_run(self) -> RunRecord | None:
        """What the run that kept the work recorded about its pushes to the branch; ``None`` if there is nothing."""
        if self._records is None or self._record is None:
            return None
        run = read_run(self._records, self._record.execution)
        return run if run and run.is_about(self._request.repository, self._request.branch) else None

    def _work_at(self, commit: str) -> KeptWork | None:
        if not commit:
            return None
        return self._written.get(commit) or (self._record.work_at(commit) if self._record else None)

    def _push(self, work: KeptWork) -> GitFailed | None:
        """Record and push ``work``. Return why the server still has another commit, ``None`` if it has this one.

        Raises :class:`GitFailed` if another attempt cannot succeed.
        """
        git = self._checkout.git
        before = self.find(), self._server
        work = replace(work, spec_path=self._request.spec_path)
        if self._records is not None:
            record = CheckpointRecord(work, self.work, self._request.owner, self.done_before)
            try:
                note_checkpoint(self._records, self._request.repository, self._request.branch, record)
            except (BotoCoreError, ClientError) as error:
                raise GitFailed("push", f"the checkpoint could not be recorded: {error}") from None
        self._written[work.commit] = work
        try:
            upload(git, work.commit)
            git.network("push", "--quiet", "--no-verify", self._lease, "origin", f"{work.commit}:{self.ref}")
        except GitFailed as failure:
            self._server = None
            if self._find_after(failure) == work.commit:
                return None
            if (self.commit, self._server) == before:
                raise
            return failure
        self._server = self.commit = work.commit
        return None

    def _disown(self) -> None:
        """Record that the checkpoint, which stays on the server, holds no work that a later build could resume.

        Otherwise commits of it that a person removes from the branch would come back.
        """
        if self._records is None:
            return
        record = CheckpointRecord(KeptWork.none_at(self.commit), None, self._request.owner, self.done_before)
        try:
            note_checkpoint(self._records, self._request.repository, self._request.branch, record)
        except (BotoCoreError, ClientError) as error:
            self._log(f"the checkpoint {self.ref} is still recorded as resumable: {error}")

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
        is_own = self._work_at(commit) is not None
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

    def _resumed(self, work: KeptWork, rebase_from: str) -> KeptWork | None:
        """Return ``work`` on top of the head, of which it is a descendant, or else its part above ``rebase_from``,
        rebased onto the head. ``None`` if that does not apply cleanly.
        """
        head, git = self._checkout.commit, self._checkout.git
        # Where it is not known what is half done, nothing counts as half done, and no task as done because of it.
        finished = work.finished or work.commit
        if not rebase_from:
            self._log(f"resuming from the checkpoint {work.commit[:12]} of an earlier build")
            # Asked this way round, because no history has to be fetched for it.
            is_above = git.succeeds("merge-base", "--is-ancestor", head, finished)
            return replace(work, base=head, finished=finished if is_above else head)
        moved = rebased(self._checkout, rebase_from, work.commit, head, self._log)
        if not moved:
            self._log(
                f"the branch has moved, and the checkpoint {work.commit[:12]} does not apply cleanly to it, so the work"
                " starts over"
            )
            return None
        tip, self.moved = moved[work.commit], moved
        self._log(f"the branch has moved: the checkpoint {work.commit[:12]} is rebased onto it as {tip[:12]}")
        return KeptWork(tip, head, moved.get(finished, head), work.unfinished)
