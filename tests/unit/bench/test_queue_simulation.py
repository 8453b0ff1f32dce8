"""The simulation's own accounting: a queue with known numbers, and what holds for every queue."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.queue_meter import Meter
from bench.queue_parameters import Latencies, Limit
from bench.queue_scenario import WORKFLOW, Scenario, configured
from bench.queue_services import SimulatedCard
from bench.queue_simulation import Simulation

INSTANT = Latencies(cold=0, warm=0, keep_warm=0, aws=0, github=0, transition=0, start=0, notice=0)
BUILT = [
    "FetchWorkItem",
    "WorkItemFound",
    "ValidateWorkItem",
    "AcquireLock",
    "MarkInProgress",
    "ParallelRunAllowed",
    "RunBuild",
    "MarkInReview",
    "ReleaseLock",
    "WorkItemBuilt",
    "StartNextRun",
    "Done",
]


def simulated(
    cards: list[SimulatedCard],
    *,
    chains: bool = True,
    first_tick: float = 0,
    latencies: Latencies = INSTANT,
    **changes: Any,
) -> Simulation:
    simulation = Simulation(Scenario(cards, configured(**changes), chains, first_tick=first_tick, latencies=latencies))
    simulation.run()
    return simulation


def cards(*seconds: float, **changes: Any) -> list[SimulatedCard]:
    return [
        SimulatedCard(f"CARD-{number}", branch=f"feature/{number}", seconds=each, **changes)
        for number, each in enumerate(seconds)
    ]


def test_two_cards_and_one_lock_have_exact_numbers() -> None:
    run = simulated(cards(700, 450), first_tick=100)
    assert run.built == ["CARD-0", "CARD-1"]
    assert run.makespan == 1250
    assert run.slot_use == pytest.approx(1150 / 1250)
    assert run.waits == [100, 800]
    # The ticks at 100, 400 and 700, the first chain at 800, the tick at 1,000, and the second chain at 1,250.
    assert [each.trigger for each in run.runs] == ["schedule", "schedule", "schedule", "chain", "schedule", "chain"]
    by_length = sorted(each.states for each in run.runs)
    assert by_length.count(BUILT) == 2
    assert by_length.count(["FetchWorkItem", "WorkItemFound", "WorkInProgressElsewhere"]) == 3
    assert by_length.count(["FetchWorkItem", "WorkItemFound", "NothingToDo"]) == 1
    assert run.meter.total("transitions") == 2 * len(BUILT) + 4 * 3
    assert run.meter.total("invocations") == 2 * 6 + 4
    # Of each card: the page, 1 + 2 + 5 requests of the other steps; and the page of the last run.
    assert run.meter.total("points") == 2 * 9 + 1
    assert run.meter.total("writes") == 2 * 3
    assert run.meter.total("secondary points") == run.meter.total("points") + 4 * run.meter.total("writes")


def test_without_chains_each_tick_takes_one_card() -> None:
    run = simulated(cards(100, 100, 100), chains=False)
    assert [each.trigger for each in run.runs] == ["schedule"] * 3
    assert (run.makespan, run.waits) == (700, [0, 300, 600])


def test_latencies_delay_the_build() -> None:
    latencies = Latencies(cold=1, warm=0, keep_warm=0, aws=0, github=0, transition=10, start=0, notice=0)
    run = simulated(cards(100), latencies=latencies)
    before_build = ["FetchWorkItem", "ValidateWorkItem", "AcquireLock", "MarkInProgress"]
    states = BUILT.index("RunBuild") + 1
    assert run.makespan == 10 * states + len(before_build) + 100


def test_warm_function_starts_faster() -> None:
    latencies = Latencies(cold=50, warm=0, keep_warm=900, aws=0, github=0, transition=0, start=0, notice=0)
    run = simulated(cards(100, 100), latencies=latencies)
    # The second run finds every function warm that the first one has used; ReleaseLock was new to the first.
    assert run.makespan == 4 * 50 + 100 + 2 * 50 - 50 + 100


def test_failed_build_moves_card_and_starts_next_run() -> None:
    run = simulated(cards(100, 100, fails=True))
    assert {card.status for card in run.github.cards.values()} == {"Failed"}
    assert run.built == ["CARD-0", "CARD-1"]
    assert run.runs[0].states[-6:] == [
        "BuildSucceeded",
        "MarkFailed",
        "ReleaseLockAfterFailure",
        "NextRunAllowed",
        "StartNextRunAfterFailure",
        "FailRun",
    ]


def test_rejected_cards_are_passed_over() -> None:
    unready = [SimulatedCard(f"BAD-{number}", branch=f"bad/{number}", ready=False) for number in range(12)]
    run = simulated([*unready, *cards(100)], first_tick=1, blockedStatus=None)
    assert run.built == ["CARD-0"]
    assert {card.status for card in unready} == {"Ready"}
    rejections = [each.states.count("RejectWorkItem") for each in run.runs]
    assert (rejections[:2], sum(rejections)) == ([10, 2], 12)


def test_repository_locks_build_one_card_of_each_repository() -> None:
    owned = [
        SimulatedCard(f"CARD-{number}", f"acme/shop-{number % 4}", f"feature/{number}", 100) for number in range(8)
    ]
    run = simulated(owned, lockScope="repository")
    assert run.meter.peak("builds") == 4
    assert run.makespan == 200


@settings(max_examples=60)
@given(
    seconds=st.lists(st.integers(1, 2000), min_size=1, max_size=12),
    failing=st.sets(st.integers(0, 11)),
    slots=st.integers(1, 6),
    first_tick=st.integers(0, 299),
    chains=st.booleans(),
    latencies=st.sampled_from([INSTANT, Latencies(), Latencies(cold=7, start=3)]),
)
def test_every_card_is_built_once_in_a_slot(
    seconds: list[int], failing: set[int], slots: int, first_tick: int, chains: bool, latencies: Latencies
) -> None:
    waiting = cards(*seconds)
    for number in failing & set(range(len(waiting))):
        waiting[number].fails = True
    run = simulated(
        waiting,
        chains=chains,
        first_tick=first_tick,
        latencies=latencies,
        lockScope="branch",
        maxConcurrentBuilds=slots,
    )
    assert sorted(run.built) == sorted(card.id for card in waiting)
    assert run.meter.peak("builds") <= slots
    assert {card.status for card in waiting} <= {"In Review", "Failed"}
    assert run.locks.holders() == []
    assert run.makespan >= max(sum(seconds) / slots, *seconds)
    assert 0 < run.slot_use <= 1
    assert run.meter.total("functions") == 0, "every function that started has ended"


def test_simulated_steps_are_those_of_the_workflow() -> None:
    functions = {
        name
        for name, state in WORKFLOW["States"].items()
        if state.get("Resource", "").endswith(":lambda:invoke") and name != "ReturnToQueue"  # of pinned runs only
    }
    assert set(Simulation._steps) == functions


def test_limits_are_exceeded_in_order() -> None:
    meter = Meter()
    for second in range(10):
        meter.note("requests", second)
    meter.during("builds", 1, 5)
    meter.during("builds", 5, 9)
    meter.during("builds", 6, 7)
    window = Limit("4 in 5 s", "requests", 4, "x", seconds=5)
    bucket = Limit("a bucket of 3, half a token a second", "requests", 3, "x", refill=0.5)
    level = Limit("one at once", "builds", 1, "x")
    enough = Limit("enough", "requests", 5, "x", seconds=5)
    hits = meter.hits([level, window, bucket, enough])
    assert [(hit.limit, hit.at, hit.peak) for hit in hits] == [(window, 4, 5), (bucket, 5, 1), (level, 6, 2)]
    assert meter.duration("builds", 6) == 5
