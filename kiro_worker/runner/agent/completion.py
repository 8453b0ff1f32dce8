"""Whether the work is complete: every required task is done, except checks, which the gate carries out.

A check that the agent was asked for is ticked in the commit that the gate tests and that is pushed, and nowhere else.
So a check of a checkpoint is open, whatever the gate said about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.agent.commit_message import checks_message, squash_message
from kiro_worker.runner.agent.task_list import load_task_list, tasks_done_in
from kiro_worker.runner.agent.workspace import materialize
from kiro_worker.runner.repository.commit import with_file
from kiro_worker.runner.repository.finish import finish_work
from kiro_worker.spec import TASKS_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.commit_style import CommitStyle
    from kiro_worker.runner.repository.finish import FinishedWork
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


def complete_work(
    request: BuildRequest,
    checkout: Checkout,
    commit: str,
    checks: Collection[str],
    why_stopped: str,
    style: CommitStyle,
    say: Callable[[str], None],
) -> FinishedWork:
    """Return the work up to ``commit`` for the gate and the push, with ``checks`` ticked, in ``style``.

    Raises :class:`BuildStopped` (Incomplete) if a required task is open besides ``checks``; ``why_stopped`` then says
    why the agent did no more.
    """
    before = load_task_list(checkout, request.spec_path, commit)
    after = with_checks(before, checks)
    if after.open:
        raise BuildStopped(Outcome.INCOMPLETE, f"{before.completion}: {why_stopped}", _REMEDY)
    tree = f"{commit}^{{tree}}"
    if before.open:
        materialize(checkout, commit)
        path = f"{request.spec_path}/{TASKS_FILE}"
        tree = with_file(checkout, path, after.text.encode(errors="surrogateescape"))
    done_before = tasks_done_in(checkout, request.spec_path, checkout.commit)
    done = [task for task in after.leaves if task.state == "done" and task.identity not in done_before]
    message = (squash_message if style.squash else checks_message)(request, done, style)
    return finish_work(checkout, commit, checkout.git.text("rev-parse", tree), message, style, say)
