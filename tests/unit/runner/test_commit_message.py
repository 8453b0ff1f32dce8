"""The message of the commit that keeps a turn's work."""

from __future__ import annotations

import pytest

from kiro_worker.models import Lease
from kiro_worker.runner.agent.commit_message import turn_message
from kiro_worker.runner.repository.commit_style import CommitStyle
from kiro_worker.runner.request import BuildRequest
from kiro_worker.spec import Task, parse_tasks

REQUEST = BuildRequest(
    "acme/shop",
    "feature/x",
    "0" * 40,
    ".kiro/specs/feature-x",
    1,
    Lease("k", "arn:aws:states:r:1:execution:m:run-1", 1, 0),
)
ONE, OTHER = parse_tasks("- [ ] 1.1 Add a price\n- [ ] 1.2 Test it\n")


@pytest.mark.parametrize(
    ("tasks", "finished", "title", "trailer"),
    [
        ([ONE], True, "Implement 1.1 Add a price", f"Kiro-Worker-Task: 1.1 Add a price [{ONE.identity}]"),
        ([ONE, OTHER], True, "Implement feature-x", "Kiro-Worker-Task: all"),
        ([], True, "Fix feature-x", "Kiro-Worker-Task: fix"),
        (
            [ONE],
            False,
            "Unfinished: Implement 1.1 Add a price",
            f"Kiro-Worker-Partial: 1.1 Add a price [{ONE.identity}]",
        ),
        ([], False, "Unfinished: Fix feature-x", "Kiro-Worker-Partial: fix"),
    ],
)
def test_title_and_trailer_name_work(tasks: list[Task], finished: bool, title: str, trailer: str) -> None:
    message = turn_message(REQUEST, tasks, CommitStyle(), finished=finished)

    assert message.title == title
    assert message.trailers == ("Kiro-Worker-Execution: run-1", trailer)
    assert message.body == "From the spec in .kiro/specs/feature-x."


def test_tasks_with_same_name_have_own_trailers() -> None:
    tasks = parse_tasks("- [ ] Write unit tests\n- [ ] Write unit tests\n")

    first, second = (turn_message(REQUEST, [task], CommitStyle(), finished=True) for task in tasks)

    assert first.title == second.title
    assert first.trailers[1].startswith("Kiro-Worker-Task: Write unit tests [1-")
    assert second.trailers[1].startswith("Kiro-Worker-Task: Write unit tests [2-")


def test_long_title_is_shortened() -> None:
    [task] = parse_tasks(f"- [ ] 1. {'long ' * 30}\n")

    message = turn_message(REQUEST, [task], CommitStyle(), finished=True)

    assert len(message.title) == 72
    assert message.title.endswith("…")
    trailer = message.trailers[1]
    assert trailer.endswith(f"… [{task.identity}]")
    assert len(trailer) <= 100, "commitlint accepts no longer line"
