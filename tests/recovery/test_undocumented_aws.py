"""A redrive of every state, with each behavior that AWS's documentation leaves open."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kiro_local.aws.undocumented import Undocumented
from kiro_local.environment import LocalEnvironment
from kiro_local.faults import CLEAN_UP
from tests.recovery.fault_matrix import REDRIVE, Cell, all_cells
from tests.recovery.observer import Observer
from tests.recovery.scenario import REDRIVABLE, continue_run, play
from tests.support.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.exhaustive]

# Where a redrive continues: at the state itself, with its work undone or done, or at FailRun after the state failed.
_KINDS = ("aborted", "aborted-during", "aborted-after", "function-timed-out", "TestsFailed")
CELLS = [
    cell
    for cell in all_cells()
    if cell.kind in _KINDS and not cell.always and not cell.event and not cell.state.startswith(CLEAN_UP)
]


def builds(cell: Cell) -> bool:
    return cell.state == "RunBuild"


def fails_in_its_build(cell: Cell) -> bool:
    return cell.kind == "TestsFailed" or "TestsFailed" in cell.first


# Each setting with the cells in which it can make a difference.
SETTINGS: dict[str, tuple[Undocumented, Callable[[Cell], bool]]] = {
    "old arguments": (Undocumented(redrive_evaluates_arguments=False), lambda _: True),
    "old context": (Undocumented(redrive_refreshes_context=False), lambda _: True),
    "nothing stops a build": (
        Undocumented(abort_stops_build=False, state_timeout_stops_build=False, machine_timeout_stops_build=False),
        builds,
    ),
    "a failed build exports nothing": (Undocumented(failed_build_exports_variables=False), fails_in_its_build),
}
PLAYED = [
    pytest.param(undocumented, cell, id=f"{name}-{cell.id}")
    for name, (undocumented, concerns) in SETTINGS.items()
    for cell in CELLS
    if concerns(cell)
]


@pytest.mark.parametrize(("undocumented", "cell"), PLAYED)
def test_redrive_continues_on_any_aws(
    undocumented: Undocumented,
    cell: Cell,
    deployed: LocalEnvironment,
    new_world: Callable[[], World],
    observer: Observer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deployed.aws.executions, "undocumented", undocumented)
    scenario = play(new_world(), observer, cell)
    if scenario.run.status in REDRIVABLE:
        continue_run(scenario, REDRIVE)
    assert not scenario.problems, "; ".join(scenario.problems)
