"""What single ticks cost, counted: on an idle board, on a busy one, and on one whose first cards are passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bench.figure import Figure
from bench.queue_meter import Meter
from bench.queue_scenario import EPOCH, Scenario, configured
from bench.queue_services import SimulatedCard
from bench.queue_simulation import Simulation
from kiro_worker.lock.item import Subject
from kiro_worker.lock.keys import BASE_KEY, slot_keys
from kiro_worker.records.cards import note_rejection
from kiro_worker.records.days import note_spending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


SLOTS: Final = 100
BRANCHES: Final = 10_000
BOARDS: Final = (0, 100, 10_000)
_DYNAMODB_CALLS: Final = 6
_BUSY: Final = "acme/busy"
_BRANCH: Final[dict[str, Any]] = {"lockScope": "branch", "maxConcurrentBuilds": SLOTS}


def measure() -> list[Figure]:
    """Return the figures of single ticks."""
    return [*_idle(), *_busy(), *_passing_over(), _dynamodb_calls(0), _dynamodb_calls(BRANCHES)]


def _idle() -> list[Figure]:
    return [
        _tick(f"idle tick, board of {others:,} cards", (3, 1, 1), simulated([], others=others)) for others in BOARDS
    ]


def _busy() -> list[Figure]:
    single = simulated(_cards(10))
    single.occupy(BASE_KEY)
    full = simulated(_cards(10), **_BRANCH)
    for key in slot_keys(full.configuration):
        full.occupy(key)
    return [
        _tick("busy tick, the single lock is held", (3, 1, 0), single),
        _tick(f"busy tick, all {SLOTS} slots are taken", (3, 1, 0), full),
    ]


def _passing_over() -> list[Figure]:
    """The first ticks on queues whose first cards have to be passed over: without a ready card behind, and with one."""
    figures = []
    for name, make in _STARVING.items():
        figures.append(_tick(f"tick that only passes over {name}", (3, 1, 2), make([])))
        ready = SimulatedCard("READY", "acme/ready", "feature/ready")
        simulation = make([ready])
        run = simulation.start("schedule")
        simulation.follow(lambda run=run: "ValidateWorkItem" in run.states)  # type: ignore[misc]  # bound for this case
        taken = bool(run.document.item and run.document.item.id == ready.id) and run.states.count("FetchWorkItem") == 1
        points = simulation.meter.total("points")
        shown = "taken by one look at the queue" if taken else "not taken"
        figures.append(Figure("  the ready card behind them", shown, "", points if taken else 99, "points", at_most=2))
    return figures


def _tick(name: str, most: tuple[int, int, int], simulation: Simulation) -> Figure:
    simulation.start("schedule")
    simulation.follow()
    counted = of_tick(simulation.meter)
    over = sum(max(0, count - allowed) for count, allowed in zip(counted, most, strict=True))
    shown, against = ("/".join(map(str, numbers)) for numbers in (counted, most))
    return Figure(f"{name}: transitions/invocations/points", shown, f"at most {against}", over, "over", at_most=0)


def of_tick(meter: Meter) -> tuple[int, int, int]:
    """The transitions, invocations and points."""
    return (int(meter.total("transitions")), int(meter.total("invocations")), int(meter.total("points")))


def _dynamodb_calls(branches: int) -> Figure:
    """The calls until a run has a lock and the last of the slots, if ``branches`` had a lock before."""
    simulation = simulated(_cards(10), **_BRANCH)
    for key in slot_keys(simulation.configuration)[1:]:
        simulation.occupy(key)
    for number in range(branches):
        key = f"{BASE_KEY}#{_BUSY}#feature/earlier-{number}"
        lease = simulation.locks.acquire(key, "earlier", Subject(f"CARD-{number}", _BUSY, key))
        simulation.locks.release(lease, is_done=True)
    before = simulation.meter.total("dynamodb")
    run = simulation.start("chain")
    simulation.follow(lambda: "MarkInProgress" in run.states)
    calls = simulation.meter.total("dynamodb") - before
    after = f", after {branches:,} branches were built" if branches else ""
    name = f"DynamoDB calls of a tick and an acquire, {SLOTS} slots{after}"
    return Figure(name, f"{calls:.0f}", "", calls, "calls", at_most=_DYNAMODB_CALLS)


def simulated(cards: Sequence[SimulatedCard], others: int = 0, **changes: Any) -> Simulation:
    """A simulation without chains that has not started. ``others`` are cards in other statuses."""
    done = [SimulatedCard(f"DONE-{number}", status="In Review", ready=False) for number in range(others)]
    return Simulation(Scenario([*done, *cards], configured(**changes), chains=False))


def _cards(count: int, repository: str = _BUSY) -> list[SimulatedCard]:
    return [SimulatedCard(f"CARD-{number}", repository, f"feature/{number}") for number in range(count)]


def _busy_repository(behind: Sequence[SimulatedCard]) -> Simulation:
    simulation = simulated([*_cards(11), *behind], lockScope="repository")
    simulation.occupy(f"{BASE_KEY}#{_BUSY}")
    return simulation


def _rejected(count: int) -> Callable[[Sequence[SimulatedCard]], Simulation]:
    def make(behind: Sequence[SimulatedCard]) -> Simulation:
        simulation = simulated([*_cards(count), *behind], blockedStatus=None)
        for card in _cards(count):
            # The cards were moved an hour before a run rejected them.
            note_rejection(simulation.records, card.id, "the branch does not exist")
            simulation.github.cards[card.id].moved_at = EPOCH - 3600
        return simulation

    return make


def _spent_budget(behind: Sequence[SimulatedCard]) -> Simulation:
    settings = {_BUSY: {"maxCreditsPerDay": 10}}
    simulation = simulated([*_cards(1), *behind], repositories=[_BUSY, "acme/ready"], repositorySettings=settings)
    note_spending(simulation.records, EPOCH, _BUSY, "build", 10)
    return simulation


_STARVING: Final[dict[str, Callable[[Sequence[SimulatedCard]], Simulation]]] = {
    "11 cards of a locked repository": _busy_repository,
    "10 rejected cards": _rejected(10),
    "25 rejected cards": _rejected(25),
    "a card of a spent budget": _spent_budget,
}
