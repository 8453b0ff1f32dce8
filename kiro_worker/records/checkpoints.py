"""The record ``branch#<owner/name>#<branch>``: the checkpoint of a branch.

A build resumes only from a commit that this record names, because everyone who may push to the repository can also push
to the checkpoint's ref. What the commits say about themselves does not count either, because the agent writes some of
them: the record says which part of the work is finished.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.records.table import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kiro_worker.records.table import RecordsTable


CHECKPOINT_REFS: Final = "refs/kiro-worker/checkpoints/"
"""Where checkpoints are on the server: not a branch, so that no workflow runs and no list of branches shows them."""


@dataclass(frozen=True)
class KeptWork:
    """The worker's commits from ``base``, the branch's commit that the work began at, to ``commit``.

    At ``base`` itself there is no work: that commit is pushed to find out whether the server accepts pushes.
    ``finished`` is the last commit without a half-done task, empty if that is not known. ``unfinished`` are the
    identities of the tasks that the commits above it leave half done. ``spec_path`` is the folder of the spec that the
    work implements, empty if that is not known.
    """

    commit: str
    base: str
    finished: str = ""
    unfinished: frozenset[str] = frozenset()
    spec_path: str = field(default="", compare=False)

    @classmethod
    def none_at(cls, head: str) -> KeptWork:
        """No work on top of ``head``."""
        return cls(head, head, head)

    @property
    def is_empty(self) -> bool:
        """Whether there is no work."""
        return self.commit == self.base


@dataclass(frozen=True)
class CheckpointRecord:
    """The checkpoint of a branch.

    ``work`` was about to be pushed, and ``previous`` is what the ref was known to hold before: ``None`` if nothing.
    Either of them can be on the server now. ``previous`` is never a commit that the worker did not write.
    ``done_before`` are the identities of the tasks that were done before ``execution``, the one that wrote the record;
    ``None`` if that is not known.
    """

    work: KeptWork
    previous: KeptWork | None
    execution: str
    done_before: frozenset[str] | None = None

    def work_at(self, commit: str) -> KeptWork | None:
        """The worker's work up to ``commit``, the one that the server has; ``None`` if the worker did not write it."""
        if not commit:
            return None
        return next((work for work in (self.work, self.previous) if work and work.commit == commit), None)


def checkpoint_ref(branch: str) -> str:
    """The full name of the ref that holds the checkpoint of ``branch``."""
    return f"{CHECKPOINT_REFS}{branch}"


def note_checkpoint(records: RecordsTable, repository: str, branch: str, record: CheckpointRecord) -> None:
    """Record that the checkpoint is about to be pushed. Call it before the push, and again before every repetition."""
    work, previous = record.work, record.previous or KeptWork("", "")
    values = {
        "checkpoint": work.commit,
        "base": work.base,
        "finished": work.finished,
        "unfinished": _joined(work.unfinished),
        "specPath": work.spec_path,
        "previous": previous.commit,
        "previousBase": previous.base,
        "previousFinished": previous.finished,
        "previousUnfinished": _joined(previous.unfinished),
        "previousSpecPath": previous.spec_path,
        "execution": record.execution,
    }
    if record.done_before is not None:
        values["doneBefore"] = _joined(record.done_before)
    records.update(_key(repository, branch), values)


def read_checkpoint(records: RecordsTable, repository: str, branch: str) -> CheckpointRecord | None:
    """The branch's record; ``None`` if it never had a checkpoint."""
    item = records.read(_key(repository, branch))
    if not item:
        return None
    work = KeptWork(
        text(item, "checkpoint"),
        text(item, "base"),
        text(item, "finished"),
        _set(item, "unfinished"),
        text(item, "specPath"),
    )
    previous = KeptWork(
        text(item, "previous"),
        # Records of earlier versions hold one base, which is nearly always that of both commits.
        text(item, "previousBase" if "previousBase" in item else "base"),
        text(item, "previousFinished"),
        _set(item, "previousUnfinished"),
        text(item, "previousSpecPath"),
    )
    done_before = _set(item, "doneBefore") if "doneBefore" in item else None
    return CheckpointRecord(work, previous if previous.commit else None, text(item, "execution"), done_before)


def _joined(identities: Iterable[str]) -> str:
    # A string, because DynamoDB has no empty sets.
    return " ".join(sorted(identities))


def _set(item: Mapping[str, Any], name: str) -> frozenset[str]:
    return frozenset(text(item, name).split())


def _key(repository: str, branch: str) -> str:
    # GitHub ignores case in the names of owners and repositories, but not in those of branches.
    return f"branch#{repository.lower()}#{branch}"
