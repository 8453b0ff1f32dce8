"""The messages of the commits that keep and finish the work.

Without a configured subject, it names the task with its number: ``Implement 1.2 Add a price``. In a configured one,
``{title}`` is the title alone, because the trailer names the task as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.commit_rules import LONGEST_LINE, defused_line
from kiro_worker.runner.repository.commit_style import PARTIAL_TRAILER, TASK_TRAILER, execution_trailer
from kiro_worker.spec import is_check_only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.runner.repository.commit_style import CommitMessage, CommitStyle
    from kiro_worker.runner.request import BuildRequest
    from kiro_worker.spec import Task

_MOST_TASKS: Final = 50
"""How many tasks a message names."""


def turn_message(request: BuildRequest, tasks: Sequence[Task], style: CommitStyle, *, finished: bool) -> CommitMessage:
    """Return the message for a turn that worked on ``tasks``, or that fixed what the gate rejected when there are none.

    ``finished`` is false when the turn ended badly. The title of a check, such as "Checkpoint - Ensure all tests pass",
    says nothing about a change, so it is no subject.
    """
    spec = _spec(request)
    work = [task for task in tasks if not is_check_only(task)]
    title, short = _titles(spec, work) if work else (f"Fix {spec}", f"fix {spec}")
    if not finished:
        title, short = f"Unfinished: {title}", f"unfinished: {short}"
    value = _task_value(tasks[0]) if len(tasks) == 1 else "all" if tasks else "fix"
    trailer = f"{TASK_TRAILER if finished else PARTIAL_TRAILER}: {value}"
    return style.message(title, _body(request), (execution_trailer(request), trailer), short_title=short)


def checks_message(request: BuildRequest, _done: Sequence[Task], style: CommitStyle) -> CommitMessage:
    """Return the message of a commit that only ticks checks, which the gate carries out on this commit."""
    spec = _spec(request)
    body = "The gate carries them out on this commit, which is pushed only if it passes."
    trailers = (execution_trailer(request),)
    return style.message(f"Complete the checks of {spec}", body, trailers, short_title=f"complete the checks of {spec}")


def squash_message(request: BuildRequest, done: Sequence[Task], style: CommitStyle) -> CommitMessage:
    """Return the message of the one commit that has all of the work, in which the tasks ``done`` were done."""
    spec = _spec(request)
    work = [task for task in done if not is_check_only(task)]
    title, short = _titles(spec, work) if work else (f"Implement {spec}", f"implement {spec}")
    lines = [_body(request), "", *(_fitting(f"- {task.name}", LONGEST_LINE) for task in work[:_MOST_TASKS])]
    if len(work) > _MOST_TASKS:
        lines.append(f"- and {len(work) - _MOST_TASKS} more tasks")
    tasks = tuple(f"{TASK_TRAILER}: {_task_value(task)}" for task in work[:_MOST_TASKS])
    trailers = (execution_trailer(request), *(tasks or (f"{TASK_TRAILER}: all",)))
    return style.message(title, "\n".join(lines).strip(), trailers, short_title=short)


def _titles(spec: str, work: Sequence[Task]) -> tuple[str, str]:
    """Return the title of a commit that implements ``work``, and the one for a configured subject."""
    if len(work) == 1:
        return f"Implement {work[0].name}", work[0].title
    return f"Implement {spec}", f"implement {spec}"


def _spec(request: BuildRequest) -> str:
    return request.spec_path.rpartition("/")[2]


def _body(request: BuildRequest) -> str:
    return f"From the spec in {request.spec_path}."


def _task_value(task: Task) -> str:
    identity = f" [{task.identity}]"
    longest = max(len(TASK_TRAILER), len(PARTIAL_TRAILER)) + len(": ")
    return _fitting(task.name, LONGEST_LINE - longest - len(identity)) + identity


def _fitting(text: str, room: int) -> str:
    text = defused_line(text)
    return text if len(text) <= room else f"{text[: room - 1].rstrip()}…"
