"""Plays every cell of the fault matrix (:mod:`tests.recovery.fault_matrix`), asserts the invariants of
:mod:`tests.recovery.scenario`, and compares the results with docs/explanation/recovery.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kiro_local.faults import CLEAN_UP
from tests.recovery.fault_matrix import CONTINUATIONS, NOTHING, REPLAY, TICK, Cell, all_cells, sample
from tests.recovery.observer import Observer
from tests.recovery.scenario import Scenario, continue_run, fingerprint, observe, play
from tests.support.world import World
from tools.recovery_table import recorded_result

pytestmark = pytest.mark.e2e

RECORD = "KIRO_WORKER_RECORD"
"""Names a folder in which to note the results instead of comparing them with the page; `make recovery` sets it."""

_futures: dict[str, dict[str, Any]] = {}
"""The result of each way to continue, by fingerprint: equal fingerprints have equal results. A tick and a replay know
nothing about the failed execution; a redrive knows its last state and that state's input.
"""


@pytest.mark.parametrize(
    "cell",
    [pytest.param(cell, marks=() if cell in sample() else pytest.mark.exhaustive) for cell in all_cells()],
    ids=lambda cell: cell.id,
)
def test_fault_and_continuation(cell: Cell, new_world: Callable[[], World], observer: Observer) -> None:
    first = play(new_world(), observer, cell)
    scenario: Scenario | None = first
    seen = {"then": observe(first)}
    for continuation in ways_after(cell, first):
        scenario = scenario or play(new_world(), observer, cell)
        before = f"{continuation} {fingerprint(scenario, continuation)}"
        if before not in _futures:
            goes_on = continuation == NOTHING and not scenario.late
            after = continue_run(scenario, continuation)
            assert not scenario.wrong, f"{continuation}: " + "; ".join(scenario.wrong)
            _futures[before] = after
            if not goes_on:
                scenario = None
        if continuation != NOTHING:
            seen[continuation] = _futures[before]
    if folder := os.environ.get(RECORD):
        (Path(folder) / f"{cell.id.replace('/', '_')}.json").write_text(json.dumps({cell.id: seen}))
    else:
        assert seen == recorded_result(cell), "docs/explanation/recovery.md is out of date. How to fix: make recovery"


def ways_after(cell: Cell, scenario: Scenario) -> tuple[str, ...]:
    if scenario.run.status == "SUCCEEDED":
        return (NOTHING, TICK)
    return (NOTHING, TICK, REPLAY) if cell.state.startswith(CLEAN_UP) else CONTINUATIONS
