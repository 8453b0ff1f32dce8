"""Nothing that was paid for is lost: every finished task is pushed to a branch of its own, from which a later build
goes on.

``kiro-worker/checkpoint/<branch>`` is the worker's. It may hold what no test has seen, and nobody is asked to review
it; the pull request's own branch moves only after the gate. Trailers say what a commit is: ``Kiro-Worker-Task`` that a
task is finished, ``Kiro-Worker-Partial`` that a turn ended badly and this is what it left.
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
    """Where the agent begins: at ``commit``. ``finished`` is the last commit at which no task was half done, and what a
    turn's work is measured against.
    """

    commit: str
    finished: str


class Checkpoint:
    """The checkpoint branch of ``checkout``'s branch. ``commit`` is what it holds on the server, empty when there is
    none or that is not known.
    """

    def __init__(self, checkout: Checkout, log: Callable[[str], None]) -> None:
        self.branch = f"{CHECKPOINTS}/{checkout.branch}"
        self.reference = f"refs/heads/{self.branch}"
        self.commit = checkout.checkpoint or ""
        self._is_known = checkout.checkpoint is not None
        self._checkout = checkout
        self._log = log

    def find(self) -> str:
        """What the server has, as far as we know it from the checkout and our own pushes; else it is asked. Raises
        :class:`GitFailed`.
        """
        return self.commit if self._is_known else self.look()

    def look(self) -> str:
        """What the server has. Raises :class:`GitFailed`."""
        self._is_known = True
        self.commit = self._checkout.git.network("ls-remote", "origin", self.reference).partition("\t")[0]
        return self.commit

    def resume(self) -> Start:
        """Where to go on: from the checkpoint when it descends from the branch's head, from its commits on top of that
        head when they apply cleanly, otherwise from the head itself, which is said.
        """
        head = self._checkout.commit
        over = Start(head, head)
        git = self._checkout.git
        try:
            if not self.find():
                return over
            if self._checkout.checkpoint != self.commit:
                git.network("fetch", "--quiet", "--no-tags", "--no-filter", "origin", f"+{self.reference}:{_FETCHED}")
            if not descends(git, self.commit, head) and descends(git, head, self.commit):
                return over
            base = git.text("merge-base", head, self.commit)
            # All that comes is the work of a few turns, and every bit of it is looked at.
            fetch_contents(self._checkout, f"{base}..{self.commit}")
        except GitFailed as failure:
            self._log(f"the checkpoint {self.branch} cannot be used, so the work starts over: {failure}")
            return over
        if base == head:
            self._log(f"going on from the checkpoint {self.commit[:12]} of an earlier build")
            return self._start(self.commit)
        if tip := rebased(self._checkout, base, self.commit, head, self._log):
            self._log(f"the branch has moved: the checkpoint {self.commit[:12]} goes on top of it as {tip[:12]}")
            return self._start(tip)
        self._log(
            f"the branch has moved, and the checkpoint {self.commit[:12]} does not apply cleanly to it: the work starts"
            " over"
        )
        return over

    def save(self, commit: str) -> bool:
        """Push ``commit``; whether it is there now. Only what we know to be there is replaced. A server that refuses is
        no reason to stop an agent that works: it is said.
        """
        git = self._checkout.git
        try:
            upload(self._checkout, commit)
            git.network("push", "--quiet", "--no-verify", self._lease, "origin", f"{commit}:{self.reference}")
        except GitFailed as failure:
            try:
                there = self.look()
            except GitFailed:
                there = ""
            if there != commit:
                self._log(f"the checkpoint {self.branch} could not be pushed: {failure}")
                return False
        self.commit, self._is_known = commit, True
        return True

    def removal(self) -> tuple[str, str]:
        """What a push of something else needs to remove the checkpoint in the same moment: an option and a refspec."""
        return self._lease, f":{self.reference}"

    def removed(self) -> None:
        """It was, by such a push."""
        self.commit = ""

    @property
    def _lease(self) -> str:
        """Only what we know to be there is replaced."""
        return f"--force-with-lease={self.reference}:{self.commit}"

    def drop(self) -> None:
        """The branch itself carries the work now: remove what is left of the checkpoint."""
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
            return not self.look()
        except GitFailed:
            return False

    def _start(self, tip: str) -> Start:
        """The last finished task below ``tip``: above it lies what a turn that ended badly left."""
        head = self._checkout.commit
        keys = f"%(trailers:key={TASK_TRAILER},valueonly,separator=%x2C)"
        lines = self._checkout.git.text("log", f"--format=%H {keys}", f"{head}..{tip}").splitlines()
        finished = next((line[:40] for line in lines if line[41:].strip()), head)
        return Start(tip, finished)
