"""Plays every cell of the fault matrix (:mod:`tests.recovery.fault_matrix`), checks the invariants of
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

_results: dict[str, dict[str, Any]] = {}
"""The result of each continuation, by fingerprint: equal fingerprints have equal results. A tick and a replay depend on
nothing in the failed execution; a redrive depends on its last state and that state's input.
"""


@pytest.mark.parametrize(
    "cell",
    [pytest.param(cell, marks=() if cell in sample() else pytest.mark.exhaustive) for cell in all_cells()],
    ids=lambda cell: cell.id,
)
def test_fault_and_continuation(cell: Cell, new_world: Callable[[], World], observer: Observer) -> None:
    first = play(new_world(), observer, cell)
    scenario: Scenario | None = first
    observed = {"then": observe(first)}
    for continuation in continuations_of(cell, first):
        scenario = scenario or play(new_world(), observer, cell)
        key = f"{continuation} {fingerprint(scenario, continuation)}"
        if key not in _results:
            is_unchanged = continuation == NOTHING and not scenario.delayed
            after = continue_run(scenario, continuation)
            assert not scenario.problems, f"{continuation}: " + "; ".join(scenario.problems)
            _results[key] = after
            if not is_unchanged:
                scenario = None
        if continuation != NOTHING:
            observed[continuation] = _results[key]
    if folder := os.environ.get(RECORD):
        (Path(folder) / f"{cell.id.replace('/', '_')}.json").write_text(json.dumps({cell.id: observed}))
    else:
        assert observed == recorded_result(cell), (
            "docs/explanation/recovery.md is out of date. How to fix: make recovery"
        )


def continuations_of(cell: Cell, scenario: Scenario) -> tuple[str, ...]:
    if scenario.run.status == "SUCCEEDED":
        return (NOTHING, TICK)
    return (NOTHING, TICK, REPLAY) if cell.state.startswith(CLEAN_UP) else CONTINUATIONS
