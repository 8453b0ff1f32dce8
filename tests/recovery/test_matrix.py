"""The fault matrix, played: every cell of :mod:`tests.recovery.fault_matrix`, judged by the invariants of
:mod:`tests.recovery.scenario`, and held against what docs/explanation/recovery.md says of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiro_local.faults import CLEAN_UP
from tests.recovery.fault_matrix import NOTHING, REPLAY, TICK, WAYS, Cell, all_cells, sample
from tests.recovery.observer import Observer
from tests.recovery.scenario import Play, carry_on, digest, look, play
from tests.support.world import World
from tools.recovery_table import recorded_result

pytestmark = pytest.mark.e2e

RECORD = "KIRO_WORKER_RECORD"
"""A folder in which what was seen is noted, instead of being held against the page: `make recovery` sets it."""

_futures: dict[str, dict[str, Any]] = {}
"""What was gone on from, and what came of it: the same sight has the same future. A tick and a replay know nothing of
the execution that failed; a redrive knows its last state and what that was given.
"""


@pytest.mark.parametrize(
    "cell",
    [pytest.param(cell, marks=() if cell in sample() else pytest.mark.exhaustive) for cell in all_cells()],
    ids=lambda cell: cell.id,
)
def test_every_way_of_carrying_on_after_every_fault(
    cell: Cell, new_world: Callable[[], World], observer: Observer
) -> None:
    first = play(new_world(), observer, cell)
    here: Play | None = first
    seen = {"then": look(first)}
    for way in ways_after(cell, first):
        here = here or play(new_world(), observer, cell)
        before = f"{way} {digest(here, way)}"
        if before not in _futures:
            goes_on = way == NOTHING and not here.late
            after = carry_on(here, way)
            assert not here.wrong, f"{way}: " + "; ".join(here.wrong)
            _futures[before] = after
            if not goes_on:
                here = None
        if way != NOTHING:
            seen[way] = _futures[before]
    if folder := os.environ.get(RECORD):
        (Path(folder) / f"{cell.id.replace('/', '_')}.json").write_text(json.dumps({cell.id: seen}))
    else:
        assert seen == recorded_result(cell), "docs/explanation/recovery.md is out of date. How to fix: make recovery"


def ways_after(cell: Cell, here: Play) -> tuple[str, ...]:
    if here.run.status == "SUCCEEDED":
        return (NOTHING, TICK)
    return (NOTHING, TICK, REPLAY) if cell.state.startswith(CLEAN_UP) else WAYS
