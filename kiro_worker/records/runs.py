"""The record ``run#<execution>``: where a run started the agent, what it was about to push, and what it has done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.records.summaries import RunSummary
from kiro_worker.records.table import text

if TYPE_CHECKING:
    from kiro_worker.records.table import RecordsTable


@dataclass(frozen=True)
class RunRecord:
    """What the run ``execution`` was about to push to ``branch`` of ``repository``.

    ``commits`` holds every commit that was about to be pushed, in no order. At most one of them arrived, because each
    push is conditional on the commit that the branch was at. ``started_from`` is the branch's commit at which the last
    attempt gave the agent open tasks: what an earlier attempt pushed below it did not finish the work. ``summary`` is
    for people, and no decision depends on it.
    """

    execution: str
    repository: str
    branch: str
    work_item_id: str = ""
    commits: frozenset[str] = frozenset()
    started_from: str = ""
    summary: RunSummary = field(default_factory=RunSummary)

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


def note_summary(records: RecordsTable, execution: str, summary: RunSummary) -> None:
    """Record what the run has done so far, in place of what was recorded before."""
    records.update(_key(execution), {"summary": summary.to_json()})


def read_summary(records: RecordsTable, execution: str) -> RunSummary:
    """What the run has done; empty if that is not recorded or cannot be read, because a report can omit it."""
    try:
        return RunSummary.from_json(text(records.read(_key(execution)), "summary"))
    except (BotoCoreError, ClientError):
        return RunSummary()


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
        RunSummary.from_json(text(item, "summary")),
    )


def _key(execution: str) -> str:
    return f"run#{execution}"
