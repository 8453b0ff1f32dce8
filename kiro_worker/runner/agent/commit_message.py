"""The message of the commit that keeps a turn's work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.runner.repository.checkpoint import PARTIAL_TRAILER, TASK_TRAILER
from kiro_worker.runner.repository.commit import CommitMessage, execution_trailer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.spec import Task

_LONGEST_TITLE: Final = 72


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
