"""The message of the commit that keeps a turn's work, and what such messages say about a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.runner.repository.checkpoint import PARTIAL_TRAILER, TASK_TRAILER
from kiro_worker.runner.repository.commit import CommitMessage, execution_trailer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.runner.repository.checkout import Checkout
    from kiro_worker.runner.repository.checkpoint import Start
    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.spec import Task

_LONGEST_TITLE: Final = 72


def unfinished_tasks(checkout: Checkout, start: Start) -> frozenset[str]:
    """Return the identities of the tasks whose unfinished work ``start`` contains; ``all`` for a turn of all tasks."""
    if start.commit == start.finished:
        return frozenset()
    log_format = f"--format=%(trailers:key={PARTIAL_TRAILER},valueonly)"
    values = checkout.git.text("log", log_format, f"{start.finished}..{start.commit}").splitlines()
    return frozenset(value.rpartition("[")[2].rstrip("]") for value in values if value.strip())


def turn_message(request: BuildRequest, tasks: Sequence[Task], *, finished: bool) -> CommitMessage:
    """Return the message for a turn that worked on ``tasks``, or that fixed what the gate rejected when there are none.

    ``finished`` is false when the turn ended badly.
    """
    spec = request.spec_path.rpartition("/")[2]
    if len(tasks) == 1:
        title, value = f"Implement {tasks[0].name}", f"{tasks[0].name} [{tasks[0].identity}]"
    elif tasks:
        title, value = f"Implement {spec}", "all"
    else:
        title, value = f"Fix {spec}", "fix"
    if not finished:
        title = f"Unfinished: {title}"
    if len(title) > _LONGEST_TITLE:
        title = f"{title[: _LONGEST_TITLE - 1]}…"
    trailer = f"{TASK_TRAILER if finished else PARTIAL_TRAILER}: {value}"
    return CommitMessage(title, f"From the spec in {request.spec_path}.", (execution_trailer(request), trailer))
