"""The same with a lock for each branch and one place for a build (``maxConcurrentBuilds``): where two things are held,
either can be left behind.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.world import World
from tests.recovery.cells import LOST, REDRIVE, TICK, Cell, all_cells
from tests.recovery.observer import Observer
from tests.recovery.play import carry_on, play

pytestmark = [pytest.mark.e2e, pytest.mark.exhaustive]

# From the state that takes both on, what dies with them in its hands.
_STATES = ("AcquireLock", "MarkInProgress", "RunBuild", "MarkInReview", "ReleaseLock", "ReleaseLockAfterFailure")
_KINDS = ("aborted-during", "aborted-after", "function-timed-out", "done-late")
CELLS = [cell for cell in all_cells() if cell.state in _STATES and cell.kind in _KINDS and cell.event in ("", LOST)]


@pytest.mark.parametrize("way", [TICK, REDRIVE])
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.id)
def test_neither_the_lock_of_a_branch_nor_the_place_stays_taken(
    cell: Cell, way: str, new_world: Callable[[], World], observer: Observer
) -> None:
    world = new_world()
    world.configure(lockScope="branch", maxConcurrentBuilds=1)
    here = play(world, observer, cell)
    if here.run.status != "SUCCEEDED":
        carry_on(here, way)
    assert not here.wrong, "; ".join(here.wrong)
