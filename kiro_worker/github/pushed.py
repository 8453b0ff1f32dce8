"""Whether a run's work is on its branch: its record names the possible commits, the server's ref shows if one arrived.

Neither a commit message nor anything else that a person can write decides this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.github.answers.repository import PushedAnswer
from kiro_worker.github.queries import READ_PUSHED
from kiro_worker.records.runs import read_run

if TYPE_CHECKING:
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.models import Work
    from kiro_worker.records.runs import RunRecord
    from kiro_worker.records.table import RecordsTable


def pushes_of(records: RecordsTable, execution: str, work_item_id: str = "") -> RunRecord | None:
    """The record of what ``execution`` was about to push for the card; ``None`` if it recorded no push."""
    run = read_run(records, execution)
    if run is None or not run.commits or not run.repository or not run.branch:
        return None
    return None if work_item_id and run.work_item_id not in ("", work_item_id) else run


async def pushed_commit(session: GitHubSession, run: RunRecord, work: Work | None = None) -> str:
    """The commit of ``run`` that is the head of its branch or one of the head's last hundred ancestors; else empty.

    ``work`` is what the current attempt builds, if that is known. The commit that this attempt started from,
    and what is below it, were pushed by an earlier one, so they count only if no task was left open. Without ``work``,
    the record names the commit at which the last attempt started the agent, which it does only for open tasks.
    """
    before = work.commit if work else run.started_from
    owner, _, name = run.repository.partition("/")
    variables = {
        "owner": owner,
        "name": name,
        "ref": f"refs/heads/{run.branch}",
        "before": before or None,
        "hasBefore": bool(before),
    }
    answer = PushedAnswer.parse(await session.query(READ_PUSHED, variables))
    found = answer.on_branch & run.commits
    if work is None or work.open_tasks:
        found -= answer.before
    return min(found, default="")


def pushed_before_end(ended_as: str) -> str:
    """What the comment says about work whose push is known only from the run's record and the server's ref."""
    return f"The work is on the branch, although the run ended as {ended_as} before it could report its results."
