"""The fault matrix, played: every cell of :mod:`tests.recovery.cells`, judged by the invariants of
:mod:`tests.recovery.play`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kiro_worker.local.faults import CLEAN_UP
from tests.e2e.world import World
from tests.recovery.cells import NOTHING, REPLAY, TICK, WAYS, Cell, all_cells
from tests.recovery.observer import Observer
from tests.recovery.play import Play, carry_on, digest, play

pytestmark = pytest.mark.e2e

_carried_on: set[str] = set()
"""What was gone on from, and was right: the same sight is the same future. A tick and a replay know nothing of the
execution that failed; a redrive knows its last state and what that was given.
"""


@pytest.mark.parametrize("cell", all_cells(), ids=lambda cell: cell.id)
def test_every_way_of_carrying_on_after_every_fault(
    cell: Cell, new_world: Callable[[], World], observer: Observer
) -> None:
    first = play(new_world(), observer, cell)
    here: Play | None = first
    seen = {}
    for way in ways_after(cell, first):
        here = here or play(new_world(), observer, cell)
        before = f"{way} {digest(here, way)}"
        if before in _carried_on:
            continue
        seen[way] = carry_on(here, way)
        assert not here.wrong, f"{way}: " + "; ".join(here.wrong)
        _carried_on.add(before)
        if way != NOTHING:
            here = None
    print(cell.id, seen)


def ways_after(cell: Cell, here: Play) -> tuple[str, ...]:
    if here.run.status == "SUCCEEDED":
        return (NOTHING, TICK)
    return (NOTHING, TICK, REPLAY) if cell.state.startswith(CLEAN_UP) else WAYS
