"""Which runs start the next one, with cards that wait behind: the queue goes on, and never in a circle."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from kiro_local.aws.fault_injection import execution_of
from kiro_local.faults import parse_fault
from kiro_local.github.model import Item
from kiro_worker.executions.history import Run
from tests.recovery.next_runs import PARALLEL, NextRuns, name_of_next_run
from tests.recovery.observer import Observer
from tests.recovery.scenario import BRANCH, PATIENCE, count_turns, finish, turns_of, wait_until_idle
from tests.support.world import World, names

pytestmark = pytest.mark.e2e

exhaustive = pytest.mark.exhaustive

SECOND = "feature/second"


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    world = new_world()
    count_turns(world)
    return world


@pytest.fixture
def next_runs(world: World, observer: Observer) -> NextRuns:
    return NextRuns(world, observer)


def two_cards(world: World) -> tuple[Item, Item]:
    first, second = world.card(BRANCH), world.card(SECOND)
    world.backdate(first, second)
    return first, second


def statuses(world: World, *cards: Item) -> list[str | None]:
    return [world.status(card) for card in cards]


def runs(world: World, observer: Observer) -> list[Run]:
    return [world.read(arn) for arn in observer.executions if "clean-up" not in arn]


def test_one_tick_builds_every_card(world: World, observer: Observer, next_runs: NextRuns) -> None:
    cards = two_cards(world)
    first = finish(world, world.local.tick())
    assert statuses(world, *cards) == ["In Review", "In Review"]
    assert [run.outcome for run in runs(world, observer)] == ["Succeeded", "Succeeded", "NothingToDo"]
    assert runs(world, observer)[1].arn.endswith(name_of_next_run(first.arn, 0, "StartNextRun"))
    assert list(next_runs.problems()) == []
    assert observer.violations == []


@pytest.mark.parametrize(
    "ending",
    [
        "TestsFailed",
        pytest.param("SetupFailed", marks=exhaustive),
        pytest.param("GuardTripped", marks=exhaustive),
    ],
)
def test_failure_of_card_stops_no_other_card(
    world: World, observer: Observer, next_runs: NextRuns, ending: str
) -> None:
    cards = two_cards(world)
    world.local.aws.faults.add(parse_fault(f"RunBuild:{ending}"))
    assert finish(world, world.local.tick()).error == ending
    assert statuses(world, *cards) == ["Blocked", "In Review"]
    assert len(runs(world, observer)) == 3
    assert list(next_runs.problems()) == []


@pytest.mark.parametrize(
    "fault",
    [
        *("WorkerFailed", "AgentUnavailable", "aborted"),
        *(
            pytest.param(each, marks=exhaustive)
            for each in ("LockLost", "build-limit:always", "timed-out", "runtime-error")
        ),
    ],
)
def test_failure_of_others_leaves_queue_to_next_tick(
    world: World, observer: Observer, next_runs: NextRuns, fault: str
) -> None:
    _, second = two_cards(world)
    world.local.aws.faults.add(parse_fault(f"RunBuild:{fault}"))
    finish(world, world.local.tick())
    assert len(runs(world, observer)) == 1
    assert world.status(second) == "For Implementation"
    assert list(next_runs.problems()) == []


def test_moved_card_leaves_queue_to_next_tick(world: World, observer: Observer, next_runs: NextRuns) -> None:
    first, second = two_cards(world)
    world.entered["AcquireLock"] = lambda: world.github.board.move(first, "Todo")
    assert finish(world, world.local.tick()).outcome == "WorkItemMoved"
    assert len(runs(world, observer)) == 1
    assert world.status(second) == "For Implementation"
    assert list(next_runs.problems()) == []


@pytest.mark.parametrize("failed_status", ["Blocked", None])
def test_card_that_cannot_be_moved_is_not_tried_in_circles(
    world: World, observer: Observer, next_runs: NextRuns, failed_status: str | None
) -> None:
    """Its repository is to blame, and it is still the first card of the queue."""
    world.configure(failedStatus=failed_status)
    cards = two_cards(world)
    for state in ("MarkInProgress", *(["MarkFailed"] if failed_status else [])):
        world.local.aws.faults.add(parse_fault(f"{state}:GitHubForbidden:always"))
    assert finish(world, world.local.tick()).error == "GitHubForbidden"
    assert statuses(world, *cards) == ["For Implementation", "For Implementation"]
    assert len(runs(world, observer)) == 1, "the next run took the card again"
    assert list(next_runs.problems()) == []


def test_each_redrive_starts_its_own_run(world: World, observer: Observer, next_runs: NextRuns) -> None:
    world.card(BRANCH)
    world.local.aws.faults.add(parse_fault("RunBuild:TestsFailed"))
    failed = finish(world, world.local.tick())
    assert list(next_runs.problems()) == []
    world.local.aws.faults.add(parse_fault("RunBuild:TestsFailed"))
    second = world.card(SECOND)
    world.local.redrive(failed.arn)
    assert finish(world, failed.arn).error == "TestsFailed"
    assert world.status(second) == "In Review", "the name of the run that it started was taken"
    started = [run.arn for run in runs(world, observer) if run.arn != failed.arn]
    for redrives, arn in enumerate(started[:2]):
        assert arn.endswith(name_of_next_run(failed.arn, redrives, "StartNextRunAfterFailure"))
    assert list(next_runs.problems()) == []


def hold_lock(world: World, observer: Observer, branch: str, then: Callable[[], None]) -> tuple[str, Item]:
    """Run a new card until it holds the lock, and let it go on when ``then`` returns."""
    card = world.card(branch)
    world.entered["RunBuild"] = then
    arn = world.local.tick()
    world.wait_until(lambda: observer.has_entered(arn, "RunBuild"))
    return arn, card


@pytest.mark.parametrize("how", ["redrive", "replay"])
@pytest.mark.parametrize("slots", [pytest.param(None, id="lock"), pytest.param(1, id="slot", marks=exhaustive)])
def test_card_that_finds_lock_held_goes_back_to_queue(
    world: World, observer: Observer, next_runs: NextRuns, how: str, slots: int | None
) -> None:
    if slots:
        world.configure(lockScope="branch", maxConcurrentBuilds=slots)
    card = world.card(BRANCH)
    world.local.aws.faults.add(parse_fault("RunBuild:TestsFailed"))
    failed = finish(world, world.local.tick())
    assert world.status(card) == "Blocked"
    returned: list[Run] = []

    def wait_for_return() -> None:
        world.wait_until(lambda: bool(returned))

    holder, other = hold_lock(world, observer, SECOND, wait_for_return)
    if how == "redrive":
        world.local.redrive(failed.arn)
        again = failed.arn
    else:
        again = world.local.start({"trigger": "replay", "itemId": card.id})
    drive = execution_of(again)._drive
    assert drive is not None
    assert drive.concluded.wait(PATIENCE)
    run = world.read(again)
    assert (run.status, run.outcome) == ("SUCCEEDED", "WorkInProgressElsewhere")
    assert names(run)[-2:] == ["ReturnToQueue", "WorkInProgressElsewhere"]
    assert (run.output["item"], run.output["status"]) == (card.id, "For Implementation")
    assert world.status(card) == "For Implementation"
    returned.append(run)
    finish(world, holder)
    assert statuses(world, card, other) == ["In Review", "In Review"]
    assert turns_of(world) == 1
    assert list(next_runs.problems()) == []
    assert observer.violations == []


def test_second_run_of_same_card_moves_nothing(world: World, observer: Observer, next_runs: NextRuns) -> None:
    """A replay of a card that is being built."""
    ended: list[Run] = []
    holder, card = hold_lock(world, observer, BRANCH, partial(world.wait_until, lambda: bool(ended)))
    replayed = execution_of(world.local.start({"trigger": "replay", "itemId": card.id}))
    assert replayed._drive is not None
    assert replayed._drive.concluded.wait(PATIENCE)
    ended.append(world.read(replayed.exec_arn))
    assert ended[0].outcome == "WorkInProgressElsewhere"
    assert "ReturnToQueue" not in names(ended[0])
    assert world.status(card) == "In Progress"
    assert finish(world, holder).outcome == "Succeeded"
    assert list(next_runs.problems()) == []


def test_one_tick_builds_as_many_cards_as_there_are_slots(
    world: World, observer: Observer, next_runs: NextRuns
) -> None:
    world.configure(lockScope="branch", maxConcurrentBuilds=2)
    cards = [*two_cards(world), world.card("feature/third")]
    together: list[str] = []

    def meet() -> None:
        together.append("first")
        world.entered["RunBuild"] = lambda: together.append("second")
        world.wait_until(lambda: len(together) == 2)

    world.entered["RunBuild"] = meet
    first = world.local.tick()
    finish(world, first)
    wait_until_idle(world)
    assert together == ["first", "second"], "two builds never ran at the same time"
    assert statuses(world, *cards) == ["In Review"] * 3
    assert [turns_of(world, branch) for branch in (BRANCH, SECOND, "feature/third")] == [1, 1, 1]
    assert any(run.arn.endswith(name_of_next_run(first, 0, PARALLEL)) for run in runs(world, observer))
    assert list(next_runs.problems()) == []
    assert observer.violations == []


@pytest.mark.parametrize("slots", [1, pytest.param(2, marks=exhaustive)])
def test_repeated_start_is_harmless(world: World, observer: Observer, next_runs: NextRuns, slots: int) -> None:
    """Each run starts the next one, although ticks start as many again."""
    world.configure(lockScope="branch", maxConcurrentBuilds=slots)
    cards = two_cards(world)
    for arn in [world.local.tick() for _ in range(4)]:
        finish(world, arn)
    assert statuses(world, *cards) == ["In Review", "In Review"]
    assert [turns_of(world, branch) for branch in (BRANCH, SECOND)] == [1, 1]
    assert list(next_runs.problems()) == []
    assert observer.violations == []
