"""A replay or redrive of a finished or missing card is rejected by name and changes nothing."""

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
class Snapshot:
    """The state of everything that a run can change."""

    cards: list[str | None]
    branches: dict[str, str]
    comments: list[str]
    builds: list[str]
    lock: dict[str, Any] | None


def snapshot(world: World) -> Snapshot:
    return Snapshot(
        cards=[item.value("Status") for item in world.project.items],
        branches={name: ref.oid for name, ref in world.repository.git.refs().items()},
        comments=world.comments(),
        builds=world.builds(),
        lock=world.local.lock(),
    )


def move_to_review(world: World, card: Item) -> None:
    world.github.board.move(card, "In Review")


def move_to_done(world: World, card: Item) -> None:
    world.github.board.move(card, "Done")


def archive(world: World, card: Item) -> None:
    card.is_archived = True


def merge(world: World, card: Item) -> None:
    world.repository.pull_requests[-1].state = "MERGED"


def merge_and_delete(world: World, card: Item) -> None:
    merge(world, card)
    delete_branch(world, card)


def close(world: World, card: Item) -> None:
    world.repository.pull_requests[-1].state = "CLOSED"


def delete_branch(world: World, card: Item) -> None:
    world.repository.git.run("update-ref", "-d", "refs/heads/feature/sum")


# The change to the card, the resulting error, and a part of its message.
FINISHED: list[tuple[Callable[[World, Item], None], str, str]] = [
    (move_to_review, "WorkItemMoved", "is in 'In Review'"),
    (move_to_done, "WorkItemMoved", "is in 'Done'"),
    (archive, "WorkItemMoved", "is archived"),
    (merge, "WorkItemRefused", "is merged: there is nothing left to build"),
    (merge_and_delete, "WorkItemRefused", "is merged: there is nothing left to build"),
    (close, "WorkItemRefused", "is closed: gh pr reopen"),
    (delete_branch, "WorkItemRefused", "the branch feature/sum does not exist: git checkout -b feature/sum"),
]
every_change = pytest.mark.parametrize(
    ("change", "error", "expected"), FINISHED, ids=[row[0].__name__ for row in FINISHED]
)


def check_rejected(run: Run, error: str, expected: str) -> None:
    """The run failed with that error, in a state without the lock, with the reason and the fix."""
    assert (run.status, run.error) == ("FAILED", error)
    assert names(run)[-1] in ("FetchWorkItem", "ValidateWorkItem")
    message = json.loads(run.cause)["errorMessage"]
    assert expected in message
    assert "How to fix:" in message


@every_change
@pytest.mark.parametrize("status", ["For Implementation", "Blocked"])
def test_finished_card_is_not_replayed(
    world: World, change: Callable[[World, Item], None], error: str, expected: str, status: str
) -> None:
    card = world.card(status=status)
    change(world, card)
    before = snapshot(world)
    check_rejected(world.start({"trigger": "replay", "itemId": card.id}), error, expected)
    assert snapshot(world) == before
    assert mutations(world) == []


@every_change
def test_finished_card_is_not_redriven(
    world: World, change: Callable[[World, Item], None], error: str, expected: str
) -> None:
    card = world.card()
    world.agent(FAILING)
    failed = world.tick()
    world.agent(IMPLEMENT)
    change(world, card)
    before = snapshot(world)
    world.github.requests.clear()
    check_rejected(world.redrive(failed), error, expected)
    assert snapshot(world) == before
    assert mutations(world) == []


def test_rejected_replay_can_be_redriven(world: World) -> None:
    card = world.card(status="Blocked")
    close(world, card)
    run = world.start({"trigger": "replay", "itemId": card.id})
    world.repository.pull_requests[-1].state = "OPEN"
    again = world.redrive(run)
    assert (again.outcome, world.status(card)) == ("Succeeded", "In Review")
    assert names(again).count("FetchWorkItem") == 1


def test_requeued_card_is_rejected(world: World) -> None:
    card = world.card()
    world.agent(FAILING)
    failed = world.tick()
    delete_branch(world, card)
    world.github.board.move(card, "For Implementation")
    run = world.redrive(failed)
    assert (run.outcome, world.status(card)) == ("CardsPassedOver", "Blocked")
    assert "the branch feature/sum does not exist" in "".join(world.comments())


def test_redrive_keeps_other_runs_report(world: World) -> None:
    """AWS restarts the build of an aborted run before any step can look at the card.

    The build finds that the branch has moved, and the card keeps the report of the other run.
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
    before = snapshot(world)
    run = world.redrive(world.read(arn))
    after = snapshot(world)
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
