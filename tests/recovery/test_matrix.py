"""The fault matrix, played: every cell of :mod:`tests.recovery.cells`, judged by the invariants of
:mod:`tests.recovery.play`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kiro_worker.local.faults import CLEAN_UP
from tests.e2e.world import World
from tests.recovery.cells import NOTHING, REDRIVE, REPLAY, TICK, WAYS, Cell, all_cells
from tests.recovery.observer import Observer
from tests.recovery.play import carry_on, digest, look, play

pytestmark = pytest.mark.e2e

_carried_on: set[str] = set()
"""What a tick and a replay go on from, as far as it has been seen: they know nothing of the execution that failed."""


@pytest.mark.parametrize("cell", all_cells(), ids=lambda cell: cell.id)
def test_every_way_of_carrying_on_after_every_fault(
    cell: Cell, new_world: Callable[[], World], observer: Observer
) -> None:
    for way in WAYS:
        here = play(new_world(), observer, cell)
        if way != NOTHING and (here.run.status == "SUCCEEDED" or (way == REDRIVE and cell.state.startswith(CLEAN_UP))):
            break
        before = f"{way} {digest(look(here))}"
        if way in (TICK, REPLAY) and before in _carried_on:
            continue
        seen = carry_on(here, way)
        print(cell.id, way, seen)
        assert not here.wrong, f"{way}: " + "; ".join(here.wrong)
        _carried_on.add(before)
