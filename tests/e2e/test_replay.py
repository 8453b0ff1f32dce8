"""A replay or redrive of a card that is done or gone: refused by name, and nothing is written anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from kiro_local.github.model import Item
from kiro_worker.executions.history import Run
from tests.support.world import IMPLEMENT, World, names

pytestmark = pytest.mark.e2e

FAILING = "import sys\nsys.exit(3)\n"


@dataclass(frozen=True)
class Seen:
    """All that a run could have written to."""

    cards: list[str | None]
    branches: dict[str, str]
    comments: list[str]
    builds: list[str]
    lock: dict[str, Any] | None


def seen(world: World) -> Seen:
    return Seen(
        cards=[item.value("Status") for item in world.project.items],
        branches={name: ref.oid for name, ref in world.repository.git.refs().items()},
        comments=world.comments(),
        builds=world.builds(),
        lock=world.local.lock(),
    )


def in_review(world: World, card: Item) -> None:
    world.github.board.move(card, "In Review")


def is_done(world: World, card: Item) -> None:
    world.github.board.move(card, "Done")


def is_archived(world: World, card: Item) -> None:
    card.is_archived = True


def is_merged(world: World, card: Item) -> None:
    world.repository.pull_requests[-1].state = "MERGED"


def is_merged_and_gone(world: World, card: Item) -> None:
    is_merged(world, card)
    is_gone(world, card)


def is_closed(world: World, card: Item) -> None:
    world.repository.pull_requests[-1].state = "CLOSED"


def is_gone(world: World, card: Item) -> None:
    world.repository.git.run("update-ref", "-d", "refs/heads/feature/sum")


# What happened to the card, its error, and what the error says.
FINISHED: list[tuple[Callable[[World, Item], None], str, str]] = [
    (in_review, "WorkItemMoved", "is in 'In Review'"),
    (is_done, "WorkItemMoved", "is in 'Done'"),
    (is_archived, "WorkItemMoved", "is archived"),
    (is_merged, "WorkItemRefused", "is merged: there is nothing left to build"),
    (is_merged_and_gone, "WorkItemRefused", "is merged: there is nothing left to build"),
    (is_closed, "WorkItemRefused", "is closed: gh pr reopen"),
    (is_gone, "WorkItemRefused", "the branch feature/sum does not exist: git checkout -b feature/sum"),
]
finished = pytest.mark.parametrize(("happen", "error", "says"), FINISHED, ids=[row[0].__name__ for row in FINISHED])


def refused(run: Run, error: str, says: str) -> None:
    """By its name, at a state that holds no lock, with the reason and what mends it."""
    assert (run.status, run.error) == ("FAILED", error)
    assert names(run)[-1] in ("FetchWorkItem", "ValidateWorkItem")
    message = json.loads(run.cause)["errorMessage"]
    assert says in message
    assert "How to fix:" in message


@finished
@pytest.mark.parametrize("status", ["For Implementation", "Blocked"])
def test_a_replay_of_a_finished_card_is_refused_and_writes_nothing(
    world: World, happen: Callable[[World, Item], None], error: str, says: str, status: str
) -> None:
    card = world.card(status=status)
    happen(world, card)
    before = seen(world)
    refused(world.start({"trigger": "replay", "itemId": card.id}), error, says)
    assert seen(world) == before
    assert mutations(world) == []


@finished
def test_a_redrive_of_a_run_whose_card_was_finished_meanwhile_is_refused_and_writes_nothing(
    world: World, happen: Callable[[World, Item], None], error: str, says: str
) -> None:
    card = world.card()
    world.agent(FAILING)
    failed = world.tick()
    world.agent(IMPLEMENT)
    happen(world, card)
    before = seen(world)
    world.github.requests.clear()
    refused(world.redrive(failed), error, says)
    assert seen(world) == before
    assert mutations(world) == []


def test_a_refused_replay_goes_on_by_a_redrive_once_the_reason_is_mended(world: World) -> None:
    card = world.card(status="Blocked")
    is_closed(world, card)
    run = world.start({"trigger": "replay", "itemId": card.id})
    world.repository.pull_requests[-1].state = "OPEN"
    again = world.redrive(run)
    assert (again.outcome, world.status(card)) == ("Succeeded", "In Review")
    assert names(again).count("FetchWorkItem") == 1


def test_a_card_that_somebody_put_back_into_the_queue_is_told_by_a_redrive_as_by_a_tick(world: World) -> None:
    card = world.card()
    world.agent(FAILING)
    failed = world.tick()
    is_gone(world, card)
    world.github.board.move(card, "For Implementation")
    run = world.redrive(failed)
    assert (run.outcome, world.status(card)) == ("NothingToDo", "Blocked")
    assert "the branch feature/sum does not exist" in "".join(world.comments())


def test_a_redriven_abort_leaves_the_report_of_the_run_that_finished_the_card(world: World) -> None:
    """AWS starts the build of an aborted run again before anything else can look at the card; the build finds the
    branch moved, and the card is left as the other run told it.
    """
    card = world.card()
    world.agent("import time\ntime.sleep(600)\n")
    arn = world.local.tick()
    world.wait_until(lambda: "RunBuild" in names(world.read(arn)))
    world.local.client("stepfunctions").stop_execution(executionArn=arn)
    world.wait_until(lambda: world.status(card) == "Blocked" and bool(world.comments()))
    world.agent(IMPLEMENT)
    world.github.board.move(card, "For Implementation")
    assert world.tick().outcome == "Succeeded"
    before = seen(world)
    run = world.redrive(world.read(arn))
    after = seen(world)
    assert (run.status, run.error) == ("FAILED", "PushRejected")
    assert (after.cards, after.branches, after.comments, after.lock) == (
        before.cards,
        before.branches,
        before.comments,
        None,
    )


def mutations(world: World) -> list[str]:
    return [
        request.operation
        for request in world.github.requests.graphql()
        if request.operation in ("SetStatus", "AddComment", "UpdateComment")
    ]
