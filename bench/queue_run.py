"""A queue of ready cards in the embedded environment, worked off after one tick: the real workflow, steps and builds.

The agent does next to nothing, so the times are those of this machine and of no deployment. What counts does not depend
on it: how many builds ran at once, that each card was built once, and what that took in transitions and requests.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from bench.figure import Figure, seconds
from bench.queue_parameters import MUTATIONS, operations_of
from kiro_local.environment import LocalEnvironment
from tests.support.world import StateHooks, World, access, create_world, stand_in_github

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiro_worker.executions.history import Run

CARDS: Final = 40
SLOTS: Final = 10
_AGENT: Final = "cat > /dev/null; echo done > made.txt; sed -i 's/\\[ \\]/[x]/' .kiro/specs/*/tasks.md"

_PATIENCE: Final = 600


@dataclass
class Observed:
    """What one tick did. ``builds`` maps each card's ID to the number of its builds."""

    seconds: float
    runs: Sequence[Run]
    builds: Counter[str]
    most_at_once: int
    statuses: Counter[str | None]
    operations: Counter[str] = field(default_factory=Counter)
    points: int = 0

    @property
    def transitions(self) -> int:
        return sum(run.transitions for run in self.runs)

    @property
    def writes(self) -> int:
        return sum(count for name, count in self.operations.items() if name in MUTATIONS)


def measure() -> list[Figure]:
    """Return the figures of a real run."""
    seen = run_queue(CARDS, SLOTS)
    once = sum(count == 1 for count in seen.builds.values())
    # The requests that the simulation takes for those of a card that is built without a failure.
    simulated = operations_of("MarkInProgress", "MarkInReview")
    checks = seen.operations["ValidateWorkItem"]
    return [
        Figure(f"real run: {CARDS} cards, {SLOTS} slots, one tick", seconds(seen.seconds)),
        # As many as there are slots only if no build ends before the last one starts.
        Figure("  builds at once, at most", str(seen.most_at_once), "", seen.most_at_once, "", at_most=SLOTS),
        _exactly("cards that were built exactly once", once, CARDS),
        _exactly("cards in review", seen.statuses["In Review"], CARDS),
        Figure("  executions started", str(len(seen.runs)), "", len(seen.runs) / CARDS, "a card"),
        Figure("  transitions", str(seen.transitions), "", seen.transitions / CARDS, "a card"),
        Figure("  points of GitHub", str(seen.points), "", seen.points / CARDS, "a card"),
        Figure("  writes on GitHub", str(seen.writes), "", seen.writes / CARDS, "a card"),
        # Builds that take no time end together, and the runs that follow all try the same card.
        Figure("  checks of cards, with those of lost races", str(checks), "", checks / CARDS, "a card"),
        *(
            Figure(
                f"  requests {name}",
                str(seen.operations[name]),
                f"simulated {count} a card",
                seen.operations[name] / CARDS,
                "a card",
                at_most=count,
                at_least=count,
            )
            for name, count in sorted(simulated.items())
        ),
    ]


def _exactly(name: str, count: int, expected: int) -> Figure:
    return Figure(f"  {name}", str(count), "", count, "", at_most=expected, at_least=expected)


def run_queue(cards: int, slots: int) -> Observed:
    """Let one tick work off ``cards`` cards with ``slots`` slots, and return what happened."""
    hooks = StateHooks()
    with TemporaryDirectory(prefix="bench-") as folder, stand_in_github() as github:
        Path(folder).chmod(0o755)
        with LocalEnvironment(access(github), {}, on_history_event=hooks.on_history_event) as local:
            world = create_world(local, github, Path(folder), hooks, test_command="true")
            world.patience = _PATIENCE
            script = Path(folder) / "agent.sh"
            script.write_text(_AGENT)
            agent: dict[str, Any] = {"command": ["sh", str(script)]}
            world.configure(agent=agent, lockScope="branch", maxConcurrentBuilds=slots)
            for number in range(cards):
                world.card(f"feature/{number}")
            github.requests.clear()
            started = time.perf_counter()
            world.tick()
            return _observe(world, time.perf_counter() - started)


def _observe(world: World, duration: float) -> Observed:
    client = world.local.client("codebuild")
    ids = world.builds()
    found = [build for start in range(0, len(ids), 100) for build in _read(client, ids[start : start + 100])]
    sent = world.github.requests.graphql()
    return Observed(
        seconds=duration,
        runs=world.runs(),
        builds=Counter(_card_of(build) for build in found),
        most_at_once=most_at_once([(build["startTime"], build["endTime"]) for build in found]),
        statuses=Counter(world.status(card) for card in world.project.items),
        operations=Counter(request.operation for request in sent),
        points=world.github.requests.points,
    )


def _read(client: Any, ids: list[str]) -> list[dict[str, Any]]:
    builds: list[dict[str, Any]] = client.batch_get_builds(ids=ids)["builds"]
    return builds


def _card_of(build: dict[str, Any]) -> str:
    variables = build["environment"]["environmentVariables"]
    return next((each["value"] for each in variables if each["name"] == "WORK_ITEM_ID"), "")


def most_at_once(intervals: Sequence[tuple[Any, Any]]) -> int:
    """The largest number of intervals that share a moment; one does not overlap another one that starts at its end."""
    steps = sorted([(end, -1) for _, end in intervals] + [(start, 1) for start, _ in intervals])
    running = most = 0
    for _, step in steps:
        running += step
        most = max(most, running)
    return most
