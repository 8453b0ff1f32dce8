"""Cards that cannot be built now do not stop the ready card behind them, and the board's priorities set the order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from kiro_local.environment import NAMES
from kiro_local.github.model import Item
from kiro_local.github.request_log import LoggedRequest
from kiro_worker.executions.history import Run
from kiro_worker.github.next_card import REJECTED_SECONDS
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.lock.table import LockTable
from kiro_worker.records.cards import card_key
from kiro_worker.records.days import note_spending
from kiro_worker.work_queue import MAX_SKIPPED
from tests.support.world import World, names

pytestmark = pytest.mark.e2e

MUTATIONS = {"SetStatus", "AddComment", "UpdateComment", "DeleteComment", "RemoveLabel"}
MOST_POINTS = 2


def other_repository(world: World, name: str = "other") -> World:
    """The same board with cards of another repository."""
    repository = world.github.board.add_repository(f"{world.organization}/{name}")
    repository.git.commit("main", {"README.md": "# Other\n"}, "Create the repository")
    world.configure(repositories=[world.repository.name_with_owner, repository.name_with_owner])
    return replace(world, repository=repository)


@contextmanager
def locked(world: World, key: str) -> Iterator[None]:
    """Let somebody hold the lock ``key``. An owner that is no execution holds it as long as its lease lasts."""
    locks = LockTable(world.local.client("dynamodb"), NAMES.locks_table, 7200, lambda _: True)
    lease = locks.acquire(key, "somebody")
    try:
        yield
    finally:
        locks.release(lease)


def writes(world: World) -> list[LoggedRequest]:
    return [request for request in world.github.requests.graphql() if request.operation in MUTATIONS]


def passed_over(run: Run) -> dict[str, int]:
    """How many cards the run passed over before it took one, by reason."""
    found = next(state.document for state in run.states if state.name == "WorkItemFound")
    return dict(found["passedOver"]["counts"])


def check_tick_takes(world: World, card: Item) -> Run:
    """The next tick takes the card, with one look at the queue that costs next to nothing."""
    world.github.requests.clear()
    run = world.tick()
    assert (run.outcome, run.output.get("item")) == ("Succeeded", card.id)
    assert names(run).count("FetchWorkItem") == 1
    assert names(run).count("RejectWorkItem") == 0
    requests = world.github.requests.graphql()
    first = [request.operation for request in requests].index("ValidateWorkItem")
    assert sum(request.cost for request in requests[:first]) <= MOST_POINTS
    assert world.status(card) == "In Review"
    return run


def test_locked_repository_does_not_stop_the_others(world: World) -> None:
    other = other_repository(world)
    world.configure(lockScope="repository")
    busy = [world.card(f"feature/{number}") for number in range(MAX_SKIPPED + 1)]
    ready = other.card("feature/ready")
    with locked(world, f"{BASE_KEY}#{world.repository.name_with_owner}"):
        run = check_tick_takes(world, ready)
        assert passed_over(run) == {"Locked": len(busy)}
        [parallel, following] = world.runs_after(run)
        for found in (parallel, following):
            assert (names(found)[-1], found.transitions) == ("CardsPassedOver", 3)
    assert {world.status(card) for card in busy} == {"For Implementation"}


@pytest.mark.parametrize("count", [10, pytest.param(25, marks=pytest.mark.exhaustive)])
def test_rejected_cards_do_not_stop_the_ready_one(world: World, count: int) -> None:
    world.configure(blockedStatus=None)
    rejected = [world.bare_card(f"feature/missing-{number}") for number in range(count)]
    world.backdate(*rejected)
    ticks = [world.tick() for _ in range(-(-count // MAX_SKIPPED))]
    assert sum(names(tick).count("RejectWorkItem") for tick in ticks) == count
    comments = len(world.comments())

    ready = world.card()
    run = check_tick_takes(world, ready)
    assert passed_over(run) == {"Rejected": count}
    written = {request.variables["itemId"] for request in writes(world) if "itemId" in request.variables}
    assert written == {ready.id}
    assert len(world.comments()) == comments + 1
    assert {world.status(card) for card in rejected} == {"For Implementation"}


def test_unchanged_rejection_writes_nothing(world: World) -> None:
    world.configure(blockedStatus=None)
    rejected = [world.bare_card(f"feature/missing-{number}") for number in range(3)]
    world.backdate(*rejected)
    assert names(world.tick()).count("RejectWorkItem") == 3
    assert (len(writes(world)), len(world.comments())) == (3, 3)
    for rejections in (0, 3):
        world.github.requests.clear()
        assert names(world.tick()).count("RejectWorkItem") == rejections
        assert writes(world) == []
        let_rejections_age(world, rejected)


def let_rejections_age(world: World, cards: list[Item]) -> None:
    """Let the cards be checked again, as if they had waited long enough. They were moved before that."""
    at = int(time.time()) - REJECTED_SECONDS - 60
    for card in cards:
        assert world.records().update_if(card_key(card.id), {"rejectedAt": at}, present=("rejectedAt",), expires=True)


def spend(world: World, credits_: int) -> None:
    """Record a build of today, and of tomorrow in case the day ends during the test."""
    now = time.time()
    for day in (now, now + 24 * 3600):
        note_spending(world.records(), day, world.repository.name_with_owner, f"build:{day}", credits_)


def test_spent_budget_of_a_repository_stops_only_its_cards(world: World) -> None:
    other = other_repository(world)
    world.configure(repositorySettings={world.repository.name_with_owner: {"maxCreditsPerDay": 5}})
    spend(world, 5)
    spent, ready = world.card(), other.card("feature/ready")
    run = check_tick_takes(world, ready)
    assert passed_over(run) == {"BudgetSpent": 1}
    assert world.tick().outcome == "CardsPassedOver"
    assert world.status(spent) == "For Implementation"

    pinned = world.start({"trigger": "replay", "itemId": spent.id})
    assert (pinned.outcome, world.status(spent)) == ("Succeeded", "In Review"), "a person decided to build it"


def test_priorities_come_before_positions(world: World) -> None:
    board = world.github.board
    board.add_field(world.project, "Priority", options=("Urgent", "Normal"))
    none, normal, urgent = (world.card(f"feature/{name}") for name in ("none", "normal", "urgent"))
    board.set_value(normal, "Priority", "Normal")
    board.set_value(urgent, "Priority", "Urgent")
    world.tick()
    built = [run.output["item"] for run in world.runs() if run.outcome == "Succeeded"]
    assert built == [urgent.id, normal.id, none.id]
