"""The same with a lock for each branch and one place for a build (``maxConcurrentBuilds``): where two things are held,
either can be left behind.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.recovery.fault_matrix import LOST, REDRIVE, TICK, Cell, all_cells
from tests.recovery.observer import Observer
from tests.recovery.scenario import carry_on, play
from tests.support.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.exhaustive]

# From the state that takes both on: what is retried, and what dies with them in its hands.
_STATES = ("AcquireLock", "MarkInProgress", "RunBuild", "MarkInReview", "ReleaseLock", "ReleaseLockAfterFailure")
_WAYS = {
    "answer-lost": (TICK,),
    **dict.fromkeys(("aborted-during", "aborted-after", "function-timed-out", "done-late"), (TICK, REDRIVE)),
}
PLAYED = [
    pytest.param(cell, way, id=f"{cell.id}-{way}")
    for cell in all_cells()
    if cell.state in _STATES and cell.event in ("", LOST) and not cell.always
    for way in _WAYS.get(cell.kind, ())
]


@pytest.mark.parametrize(("cell", "way"), PLAYED)
def test_neither_the_lock_of_a_branch_nor_the_place_stays_taken(
    cell: Cell, way: str, new_world: Callable[[], World], observer: Observer
) -> None:
    world = new_world()
    world.configure(lockScope="branch", maxConcurrentBuilds=1)
    here = play(world, observer, cell)
    if here.run.status == "SUCCEEDED":
        here.require(world.local.lock() is None, "a run that succeeded leaves something taken")
    carry_on(here, way)
    assert not here.wrong, "; ".join(here.wrong)
