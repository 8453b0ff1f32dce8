"""The run that ends starts the next one: when it does, when it leaves that to the schedule, and what happens to the
card of a replay or redrive whose lock is held.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from kiro_local.faults import parse_fault
from kiro_local.github.faults import FaultKind
from kiro_local.github.model import Item
from kiro_worker.executions.history import Run
from kiro_worker.records.breaker import pause, resume
from tests.e2e.test_concurrency import CardQueue
from tests.e2e.test_queue import CREDENTIALS, PLACEHOLDER, outcomes_after
from tests.support.world import World, names

pytestmark = pytest.mark.e2e

exhaustive = pytest.mark.exhaustive

FAILING = "import sys\nsys.exit(3)\n"
QUEUE, FAILED, DONE = "For Implementation", "Blocked", "In Review"


def two_cards(world: World) -> list[Item]:
    return [world.card("feature/first"), world.card("feature/second")]


def statuses(world: World) -> list[str | None]:
    return [world.status(card) for card in world.project.items]


def test_one_tick_works_off_queue_in_order(world: World) -> None:
    queue = CardQueue(world, 3)
    runs = queue.work_off()
    queue.check_each_card_was_implemented_once(runs)
    assert all(end <= start for (_, end), (start, _) in pairwise(queue.intervals()))
    assert [run.output.get("item") for run in runs] == [*(card.id for card in queue.cards), None]
    _, *chained = runs
    for run in chained:
        described = world.local.client("stepfunctions").describe_execution(executionArn=run.arn)
        assert described["name"].startswith("chain-")
        assert json.loads(described["input"]) == {"trigger": "chain"}


@pytest.mark.parametrize("outcome", ["AgentFailed", "TestsFailed"])
def test_next_card_follows_failed_one(world: World, outcome: str) -> None:
    """Whether the author of the card or the team of the repository has to act, the next card is not to blame."""
    two_cards(world)
    world.local.aws.faults.add(parse_fault(f"RunBuild:{outcome}"))
    failed = world.tick()
    assert (failed.status, failed.error) == ("FAILED", outcome)
    assert outcomes_after(world, failed) == ["Succeeded", "NothingToDo"]
    assert statuses(world) == [FAILED, DONE]


def test_failed_redrive_starts_another_run(world: World) -> None:
    """Its name differs from that of the run that was started before the redrive."""
    world.card("feature/first")
    world.local.aws.faults.add(parse_fault("RunBuild:AgentFailed:always"))
    failed = world.tick()
    assert outcomes_after(world, failed) == ["NothingToDo"]
    world.card("feature/second")
    world.local.aws.faults.clear()
    world.local.aws.faults.add(parse_fault("RunBuild:AgentFailed"))
    again = world.redrive(failed)
    assert (again.status, again.redrives) == ("FAILED", 1)
    assert outcomes_after(world, failed) == ["NothingToDo", "Succeeded", "NothingToDo"]
    assert statuses(world) == [FAILED, DONE]


def break_installation(world: World) -> None:
    world.local.put_secret("git-credentials", PLACEHOLDER)


def repair_installation(world: World) -> None:
    world.local.put_secret("git-credentials", CREDENTIALS)
    resume(world.records())


def break_service(world: World) -> None:
    world.local.aws.faults.add(parse_fault("RunBuild:WorkerFailed"))


def abort(world: World) -> None:
    world.local.aws.faults.add(parse_fault("RunBuild:aborted"))


def move_card(world: World) -> None:
    world.entered["AcquireLock"] = lambda: world.github.board.move(world.project.items[0], "Done")


@pytest.mark.parametrize(
    ("arrange", "outcome", "left", "after"),
    [
        (break_installation, "SecretPlaceholder", QUEUE, [DONE, DONE]),
        pytest.param(break_service, "WorkerFailed", QUEUE, [DONE, DONE], marks=exhaustive),
        pytest.param(abort, "ABORTED", FAILED, [FAILED, DONE], marks=exhaustive),
        pytest.param(move_card, "WorkItemMoved", "Done", ["Done", DONE], marks=exhaustive),
    ],
)
def test_next_tick_continues_instead_of_run(
    world: World, arrange: Callable[[World], None], outcome: str, left: str, after: list[str]
) -> None:
    two_cards(world)
    arrange(world)
    run = world.tick()
    assert (run.outcome, world.runs_after(run)) == (outcome, [])
    assert statuses(world) == [left, QUEUE]
    repair_installation(world)
    tick = world.tick()
    assert outcomes_after(world, tick) == ["Succeeded"] * (after.count(DONE) - 1) + ["NothingToDo"]
    assert statuses(world) == after


def test_run_without_card_starts_no_other(world: World) -> None:
    world.card(status="Todo")
    assert (world.tick().outcome, len(world.runs())) == ("NothingToDo", 1)
    world.bare_card("feature/missing")
    assert (world.tick().outcome, len(world.runs())) == ("CardsPassedOver", 2), "it rejects the card"


def test_pause_during_build_stops_queue_after_it(world: World) -> None:
    two_cards(world)
    world.entered["RunBuild"] = lambda: pause(world.records(), "ann@example.com", "release day")
    run = world.tick()
    assert (run.outcome, outcomes_after(world, run)) == ("Succeeded", ["Paused"])
    assert statuses(world) == [DONE, QUEUE]
    resume(world.records())
    assert world.tick().outcome == "Succeeded"
    assert statuses(world) == [DONE, DONE]


SCOPES: dict[str, dict[str, Any]] = {
    "one lock": {},
    "repository": {"lockScope": "repository"},
    "slots": {"lockScope": "branch", "maxConcurrentBuilds": 1},
}


EACH_SCOPE = [
    pytest.param(scope, id=name, marks=exhaustive if name == "repository" else ()) for name, scope in SCOPES.items()
]


class HeldLock:
    """A card whose build failed, and another one that is being built until :meth:`finish`."""

    def __init__(self, world: World, **configuration: Any) -> None:
        self.world = world
        world.configure(**configuration)
        self.failed_card = world.card("feature/failed")
        world.agent(FAILING)
        self.failed = world.tick()
        assert world.status(self.failed_card) == FAILED
        self.built_card = world.card("feature/built")
        self._proceed = world.waiting_agent()
        self.working = world.local.tick()
        world.wait_until(lambda: "RunBuild" in names(world.read(self.working)))

    def replay(self, card: Item | None = None) -> Run:
        return self.world.start({"trigger": "replay", "itemId": (card or self.failed_card).id})

    def redrive(self) -> Run:
        return self.world.redrive(self.failed)

    def finish(self) -> Run:
        self._proceed.touch()
        return self.world.finish(self.working)

    def check_returned(self, run: Run) -> None:
        """The run gave its card back to the queue, and its output says so."""
        assert (run.status, run.outcome, names(run)[-2:]) == (
            "SUCCEEDED",
            "WorkInProgressElsewhere",
            ["ReturnToQueue", "WorkInProgressElsewhere"],
        )
        assert (run.output["item"], run.output["status"]) == (self.failed_card.id, QUEUE)
        assert self.working in run.output["reason"]
        assert self.world.status(self.failed_card) == QUEUE

    def check_queue_builds_it(self) -> None:
        """The run that held the lock starts the one that builds the card."""
        assert self.finish().outcome == "Succeeded"
        built = [each.output["item"] for each in self.world.runs() if each.outcome == "Succeeded"]
        assert built == [self.built_card.id, self.failed_card.id]
        assert statuses(self.world) == [DONE, DONE]
        assert self.world.local.lock() is None


@pytest.mark.parametrize("start", [HeldLock.replay, pytest.param(HeldLock.redrive, marks=exhaustive)])
@pytest.mark.parametrize("scope", EACH_SCOPE)
def test_card_of_person_waits_for_lock_in_queue(
    world: World, start: Callable[[HeldLock], Run], scope: dict[str, Any]
) -> None:
    held = HeldLock(world, **scope)
    held.check_returned(start(held))
    held.check_queue_builds_it()


@pytest.mark.parametrize("scope", EACH_SCOPE)
def test_card_that_is_being_built_is_not_returned(world: World, scope: dict[str, Any]) -> None:
    held = HeldLock(world, **scope)
    run = held.replay(held.built_card)
    assert (run.outcome, names(run)[-1]) == ("WorkInProgressElsewhere", "WorkInProgressElsewhere")
    assert "ReturnToQueue" not in names(run)
    assert "status" not in run.output
    assert world.status(held.built_card) == "In Progress"
    assert held.finish().outcome == "Succeeded"
    assert statuses(world) == [FAILED, DONE]


def test_refused_return_is_repeated_by_redrive(world: World) -> None:
    held = HeldLock(world)
    world.entered["ReturnToQueue"] = lambda: world.github.faults.add(FaultKind.FORBIDDEN, "SetStatus", times=None)
    refused = held.replay()
    assert (refused.status, refused.error, names(refused)[-1]) == ("FAILED", "GitHubForbidden", "FailRun")
    assert world.status(held.failed_card) == FAILED
    assert "RunBuild" not in [name for run in world.runs_after(refused) for name in names(run)]
    world.github.faults.clear()
    held.check_returned(world.redrive(refused))
    # A token that may not write to the board stops the queue.
    resume(world.records())
    held.check_queue_builds_it()


def delete(world: World, card: Item) -> None:
    world.github.board.remove_card(card)


def move_to_done(world: World, card: Item) -> None:
    world.github.board.move(card, "Done")


@pytest.mark.parametrize(("act", "status", "left"), [(delete, "", [DONE]), (move_to_done, "Done", ["Done", DONE])])
def test_card_that_person_takes_is_not_returned(
    world: World, act: Callable[[World, Item], None], status: str, left: list[str]
) -> None:
    held = HeldLock(world)
    world.entered["ReturnToQueue"] = partial(act, world, held.failed_card)
    run = held.replay()
    assert (run.status, run.outcome, run.output["status"]) == ("SUCCEEDED", "WorkInProgressElsewhere", status)
    assert held.finish().outcome == "Succeeded"
    assert statuses(world) == left
