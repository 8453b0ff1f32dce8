"""Whether the work is complete: every required task is done, except checks, which the gate carries out.

A check that the agent was asked for is ticked in the commit that the gate tests and that is pushed, and nowhere else.
So a check of a checkpoint is open, whatever the gate said about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.agent.task_list import load_task_list
from kiro_worker.runner.agent.workspace import materialize
from kiro_worker.runner.repository.checkpoint import TASK_TRAILER
from kiro_worker.runner.repository.commit import CommitMessage, commit_turn, execution_trailer, with_file
from kiro_worker.spec import TASKS_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.spec import TaskList

_REMEDY: Final = (
    "redrive the execution or move the card back, which continues with the open tasks; make a task that stays open more"
    " specific, mark it as optional, or tick it if it is done"
)


def with_checks(task_list: TaskList, checks: Collection[str]) -> TaskList:
    """Return the list as it is when the gate has passed: the tasks with the identities ``checks`` are done."""
    ordinals = [task.ordinal for task in task_list.tasks if task.identity in checks]
    return task_list.ticked(ordinals).with_parents_completed()


def complete_commit(
    request: BuildRequest,
    checkout: Checkout,
    commit: str,
    checks: Collection[str],
    why_stopped: str,
    say: Callable[[str], None],
) -> str:
    """Return the commit for the gate and the push: ``commit``, or one on top of it that ticks ``checks``.

    Checks it out if it is a new one. Raises :class:`BuildStopped` (Incomplete) if a required task is open besides
    ``checks``; ``why_stopped`` then says why the agent did no more.
    """
    before = load_task_list(checkout, request.spec_path, commit)
    after = with_checks(before, checks)
    if after.open:
        raise BuildStopped(Outcome.INCOMPLETE, f"{before.completion}: {why_stopped}", _REMEDY)
    if not before.open:
        return commit
    materialize(checkout, commit)
    path = f"{request.spec_path}/{TASKS_FILE}"
    tree = with_file(checkout, path, after.text.encode(errors="surrogateescape"))
    title = f"Complete the checks of {request.spec_path.rpartition('/')[2]}"
    message = CommitMessage(
        title if len(title) <= 72 else f"{title[:71]}…",
        "The gate carries them out on this commit, which is pushed only if it passes.",
        (execution_trailer(request), f"{TASK_TRAILER}: checks"),
    )
    return commit_turn(checkout, commit, tree, tree, message, say, adopt_commits=False)
