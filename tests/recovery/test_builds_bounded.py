"""No failure of a build makes the worker pay for it again and again: whatever the build ends with, always."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kiro_local.faults import ENDINGS, parse_fault
from kiro_local.github.model import Item
from tests.recovery.observer import Observer
from tests.recovery.scenario import BRANCH, count_turns, finish
from tests.support.world import World, names

pytestmark = pytest.mark.e2e

exhaustive = pytest.mark.exhaustive
_TICKS = 5
BEFORE_AGENT = ("AgentUnavailable", "image-unavailable", "source-denied")
"""The installation's failures before the agent has the spec: the breaker bounds these, and the card waits."""
ON_CARD = set(ENDINGS) - {*BEFORE_AGENT, "upload-failed", "LockLost"}


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(ending, marks=() if ending in ("TestsFailed", "WorkerFailed", "build-fault") else exhaustive)
        for ending in sorted(ON_CARD)
    ],
)
def test_card_is_built_at_most_twice(ending: str, new_world: Callable[[], World], observer: Observer) -> None:
    world = new_world()
    card = _ready_card(world, ending)
    ran = [names(finish(world, world.local.tick())).count("RunBuild") for _ in range(_TICKS)]
    assert 1 <= sum(ran) <= 2, f"builds by run: {ran}"
    assert world.status(card) == "Blocked", "its last failure is on the card"
    assert len(world.comments()) == 1


@pytest.mark.parametrize("ending", BEFORE_AGENT)
def test_broken_installation_is_probed_and_blames_no_card(
    ending: str, new_world: Callable[[], World], observer: Observer
) -> None:
    world = new_world()
    card = _ready_card(world, ending)
    assert names(finish(world, world.local.tick())).count("RunBuild") == 1
    for _ in range(_TICKS):
        idle = finish(world, world.local.tick())
        assert (idle.outcome, names(idle).count("RunBuild")) == ("InstallationUnavailable", 0)
    world.end_wait_of_breaker()
    assert names(finish(world, world.local.tick())).count("RunBuild") == 1
    assert world.status(card) == "For Implementation"
    assert world.comments() == []


def _ready_card(world: World, ending: str) -> Item:
    count_turns(world)
    card = world.card(BRANCH)
    world.local.aws.faults.add(parse_fault(f"RunBuild:{ending}:always"))
    return card
