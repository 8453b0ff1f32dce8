"""The queue: how fast it drains, what it costs, and which limit it meets first.

A simulation with the worker's own code (:mod:`bench.queue_simulation`), and single ticks, counted
(:mod:`bench.queue_ticks`). :mod:`bench.queue_run` works off a queue in the embedded environment.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench import queue_ticks
from bench.figure import Figure
from bench.queue_parameters import LIMITS, Prices
from bench.queue_scenario import Scenario, configured
from bench.queue_services import SimulatedCard
from bench.queue_simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SEEDS: Final = range(5)
CARDS: Final = 100
MINUTES: Final = (5, 17)
"""How long a build takes: any time between these two is as likely."""
FAILING: Final = 0.1
"""The share of builds that end as TestsFailed."""
SCHEDULE_MINUTES: Final = 5
BRANCH: Final = {"lockScope": "branch"}
TARGETS: Final = {1: 0.97, 5: 0.93, 20: 0.80}
LARGE: Final = (10_000, 100, 2_000)
"""The cards of the large board, its slots, and how many builds are simulated: by then, nothing changes any more."""


@dataclass(frozen=True)
class Setup:
    """A kind of queue. ``repositories`` own the cards in turn; ``builds`` ends the simulation early."""

    name: str
    changes: Mapping[str, Any]
    cards: int = CARDS
    repositories: int = 1
    builds: int | None = None

    def simulate(self, seed: int, *, chains: bool = True) -> Simulation:
        chance = random.Random(seed)  # noqa: S311  # no secret
        cards = [
            SimulatedCard(
                id=f"CARD-{number}",
                repository=f"acme/shop-{number % self.repositories}",
                branch=f"feature/{number}",
                seconds=60 * chance.uniform(*MINUTES),
                fails=chance.random() < FAILING,
            )
            for number in range(self.cards)
        ]
        # The cards are moved at any time between two ticks.
        first = chance.uniform(0, 60 * SCHEDULE_MINUTES)
        scenario = Scenario(cards, configured(**self.changes), chains, SCHEDULE_MINUTES, first, self.builds)
        simulation = Simulation(scenario)
        simulation.run()
        return simulation


def measure() -> list[Figure]:
    """Return the figures of the simulation and of single ticks."""
    started = time.process_time()
    figures: list[Figure] = []
    for slots, target in TARGETS.items():
        changes = BRANCH | {"maxConcurrentBuilds": slots} if slots > 1 else {}
        figures += _compare(Setup(f"{CARDS} cards, {slots} slot{'s' if slots > 1 else ''}", changes), target)
    figures += _compare(Setup(f"{CARDS} cards of 4 repositories, one lock each", {"lockScope": "repository"}, CARDS, 4))
    cards, slots, builds = LARGE
    large = Setup(
        f"{cards:,} cards, {slots} slots, the first {builds:,} builds",
        BRANCH | {"maxConcurrentBuilds": slots},
        cards,
        builds=builds,
    )
    figures += _report(large.name, [large.simulate(SEEDS[0])])
    figures += queue_ticks.measure()
    figures.append(Figure("  CPU time of the simulation", f"{time.process_time() - started:.0f} s"))
    return figures


def _compare(setup: Setup, target: float | None = None) -> list[Figure]:
    """The figures of a queue, against the same one if a tick takes one card and no run starts another."""
    after = [setup.simulate(seed) for seed in SEEDS]
    before = [setup.simulate(seed, chains=False) for seed in SEEDS]
    return _report(setup.name, after, before, target)


def _report(
    name: str, runs: Sequence[Simulation], before: Sequence[Simulation] = (), target: float | None = None
) -> list[Figure]:
    """The figures of one kind of queue: the median of its simulations."""

    def rows(simulations: Sequence[Simulation]) -> list[tuple[str, str]]:
        return [
            (label, text.format(median(of(each) for each in simulations))) if simulations else (label, "")
            for label, text, of in _MEASURES
        ]

    use = median(run.slot_use for run in runs)
    earlier = f"{median(run.slot_use for run in before):.1%} without chains" if before else ""
    goal = None if target is None else 100 * target
    found = [Figure(f"queue: {name}: slot use", f"{use:.1%}", earlier, 100 * use, "%", at_least=goal)]
    found += [
        Figure(f"  {label}", text, against)
        for (label, text), (_, against) in zip(rows(runs), rows(before), strict=True)
    ]
    return [*found, *_limits(runs)]


def _hours(run: Simulation) -> float:
    return run.makespan / 3600


def _dollars(run: Simulation) -> float:
    total, prices = run.meter.total, Prices()
    return (
        total("transitions") * prices.transition
        + total("invocations") * prices.invocation
        + total("gigabyte seconds") * prices.gigabyte_second
        + total("read units") * prices.read_unit
        + total("write units") * prices.write_unit
    )


def _checks(run: Simulation) -> int:
    return sum(each.states.count("ValidateWorkItem") for each in run.runs)


_MEASURES: Final = (
    ("hours", "{:.1f}", _hours),
    ("cards an hour", "{:.1f}", lambda run: len(run.built) / _hours(run)),
    ("oldest wait, minutes", "{:.0f}", lambda run: max(run.waits) / 60),
    ("points of GitHub in the fullest hour", "{:.0f}", lambda run: run.meter.peak("points", 3600)),
    ("writes on GitHub in the fullest minute", "{:.0f}", lambda run: run.meter.peak("writes", 60)),
    ("writes on GitHub in the fullest hour", "{:.0f}", lambda run: run.meter.peak("writes", 3600)),
    ("checks a card, with those of lost races", "{:.1f}", lambda run: _checks(run) / len(run.built)),
    ("executions a card", "{:.1f}", lambda run: len(run.runs) / len(run.built)),
    ("transitions a card", "{:.1f}", lambda run: run.meter.total("transitions") / len(run.built)),
    ("invocations a card", "{:.1f}", lambda run: run.meter.total("invocations") / len(run.built)),
    (
        "calls of DynamoDB a card",
        "{:.1f}",
        lambda run: run.meter.total("dynamodb") / len(run.built),
    ),
    ("DescribeExecution in the fullest second", "{:.0f}", lambda run: run.meter.peak("describes", 1)),
    ("dollars for 100 cards, without the builds", "{:.4f}", lambda run: 100 * _dollars(run) / len(run.built)),
)


def _limits(runs: Sequence[Simulation]) -> list[Figure]:
    """The limits that the queue exceeds, the first one first, in the simulation that exceeds most."""
    hits = max((run.meter.hits(LIMITS) for run in runs), key=len)
    if not hits:
        return [Figure("  first limit that is hit", "none")]
    return [
        Figure(
            f"  limit {number} that is hit: {hit.limit.name}",
            f"{hit.peak:.0f}, after {hit.at / 60:.0f} min",
            f"moved by {hit.limit.setting}",
        )
        for number, hit in enumerate(hits, 1)
    ]
