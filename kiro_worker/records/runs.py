"""The record ``run#<execution>``: at which commit a run started the agent, and which commits it was about to push."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiro_worker.records.table import text

if TYPE_CHECKING:
    from kiro_worker.records.table import RecordsTable


@dataclass(frozen=True)
class RunRecord:
    """What the run ``execution`` was about to push to ``branch`` of ``repository``.

    ``commits`` holds every commit that was about to be pushed, in no order. At most one of them arrived, because each
    push is conditional on the commit that the branch was at. ``started_from`` is the branch's commit at which the last
    attempt gave the agent open tasks: what an earlier attempt pushed below it did not finish the work.
    """

    execution: str
    repository: str
    branch: str
    work_item_id: str = ""
    commits: frozenset[str] = frozenset()
    started_from: str = ""

    def is_about(self, repository: str, branch: str) -> bool:
        """Whether the run was about to push to this branch. GitHub ignores case in the names of repositories."""
        return self.repository.lower() == repository.lower() and self.branch == branch and bool(self.commits)


def note_start(records: RecordsTable, run: RunRecord, commit: str) -> None:
    """Record that ``run`` is about to start the agent at ``commit``. It can be repeated."""
    records.update(_key(run.execution), {"startedFrom": commit})


def note_push(records: RecordsTable, run: RunRecord, commit: str) -> None:
    """Record that ``run`` is about to push ``commit``. Call it before the push, and again before every repetition."""
    records.update(
        _key(run.execution),
        {"repository": run.repository, "branch": run.branch, "workItemId": run.work_item_id},
        add={"commits": commit},
    )


def read_run(records: RecordsTable, execution: str) -> RunRecord | None:
    """The record of the run; ``None`` if it was never about to start an agent or push anything."""
    item = records.read(_key(execution))
    if not item:
        return None
    commits = item.get("commits", {}).get("SS", [])
    return RunRecord(
        execution,
        text(item, "repository"),
        text(item, "branch"),
        text(item, "workItemId"),
        frozenset(commits),
        text(item, "startedFrom"),
    )


def _key(execution: str) -> str:
    return f"run#{execution}"
