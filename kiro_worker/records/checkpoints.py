"""The record ``branch#<owner/name>#<branch>``: the checkpoint of a branch.

A build resumes only from a commit that this record names, because anybody who may push to the repository can also push
to the checkpoint's ref.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.records.table import text

if TYPE_CHECKING:
    from kiro_worker.records.table import RecordsTable


CHECKPOINT_REFS: Final = "refs/kiro-worker/checkpoints/"
"""Where checkpoints are on the server: not a branch, so that no workflow runs and no list of branches shows them."""


@dataclass(frozen=True)
class CheckpointRecord:
    """The checkpoint of a branch.

    ``commit`` was about to be pushed, and ``previous`` is what the ref was known to hold before: empty if nothing.
    Either of them can be on the server now. ``previous`` is never a commit that the worker did not write. ``base`` is
    the commit of the branch that the work began at. A checkpoint at ``base`` holds no work: it was pushed to find out
    whether the server accepts pushes.
    """

    commit: str
    previous: str
    base: str
    execution: str

    def names(self, commit: str) -> bool:
        """Whether the worker wrote ``commit``, the one that the server has."""
        return bool(commit) and commit in (self.commit, self.previous)


def checkpoint_ref(branch: str) -> str:
    """The full name of the ref that holds the checkpoint of ``branch``."""
    return f"{CHECKPOINT_REFS}{branch}"


def note_checkpoint(records: RecordsTable, repository: str, branch: str, record: CheckpointRecord) -> None:
    """Record that the checkpoint is about to be pushed. Call it before the push, and again before every repetition."""
    records.update(
        _key(repository, branch),
        {
            "checkpoint": record.commit,
            "previous": record.previous,
            "base": record.base,
            "execution": record.execution,
        },
    )


def read_checkpoint(records: RecordsTable, repository: str, branch: str) -> CheckpointRecord | None:
    """The branch's record; ``None`` if it never had a checkpoint."""
    item = records.read(_key(repository, branch))
    if not item:
        return None
    return CheckpointRecord(
        text(item, "checkpoint"), text(item, "previous"), text(item, "base"), text(item, "execution")
    )


def _key(repository: str, branch: str) -> str:
    # GitHub ignores case in the names of owners and repositories, but not in those of branches.
    return f"branch#{repository.lower()}#{branch}"
