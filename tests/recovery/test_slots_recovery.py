"""Cells of the fault matrix with one lock per branch and a single slot (``maxConcurrentBuilds``): a run that holds both
can abandon either.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.recovery.fault_matrix import LOST, REDRIVE, TICK, Cell, all_cells
from tests.recovery.observer import Observer
from tests.recovery.scenario import continue_run, play
from tests.support.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.exhaustive]

# From the state that acquires both: faults that are retried, and ends of a run that holds both.
_STATES = ("AcquireLock", "MarkInProgress", "RunBuild", "MarkInReview", "ReleaseLock", "ReleaseLockAfterFailure")
_CONTINUATIONS = {
    "answer-lost": (TICK,),
    **dict.fromkeys(("aborted-during", "aborted-after", "function-timed-out", "done-late"), (TICK, REDRIVE)),
}
PLAYED = [
    pytest.param(cell, continuation, id=f"{cell.id}-{continuation}")
    for cell in all_cells()
    if cell.state in _STATES and cell.event in ("", LOST) and not cell.always
    for continuation in _CONTINUATIONS.get(cell.kind, ())
]


@pytest.mark.parametrize(("cell", "continuation"), PLAYED)
def test_lock_and_slot_are_freed(
    cell: Cell, continuation: str, new_world: Callable[[], World], observer: Observer
) -> None:
    world = new_world()
    world.configure(lockScope="branch", maxConcurrentBuilds=1)
    scenario = play(world, observer, cell)
    if scenario.run.status == "SUCCEEDED":
        scenario.require(world.local.lock() is None, "a run that succeeded leaves a lock or slot taken")
    continue_run(scenario, continuation)
    assert not scenario.problems, "; ".join(scenario.problems)
