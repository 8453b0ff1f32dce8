"""A redrive of every state, under each way in which AWS could turn out to behave where its documentation is silent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kiro_local.aws.undocumented import Undocumented
from kiro_local.environment import LocalEnvironment
from kiro_local.faults import CLEAN_UP
from tests.recovery.fault_matrix import REDRIVE, Cell, all_cells
from tests.recovery.observer import Observer
from tests.recovery.scenario import REDRIVABLE, carry_on, play
from tests.support.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.exhaustive]

# What a redrive goes on from: the state itself, with its work undone or done, or FailRun after the state's own failure.
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


# Each with the cells to which it can make a difference.
SETTINGS: dict[str, tuple[Undocumented, Callable[[Cell], bool]]] = {
    "the arguments of before": (Undocumented(redrive_evaluates_arguments=False), lambda _: True),
    "the context of before": (Undocumented(redrive_refreshes_context=False), lambda _: True),
    "nothing stops a build": (
        Undocumented(abort_stops_build=False, state_timeout_stops_build=False, machine_timeout_stops_build=False),
        builds,
    ),
    "a failed build says nothing": (Undocumented(failed_build_exports_variables=False), fails_in_its_build),
}
PLAYED = [
    pytest.param(undocumented, cell, id=f"{name}-{cell.id}")
    for name, (undocumented, concerns) in SETTINGS.items()
    for cell in CELLS
    if concerns(cell)
]


@pytest.mark.parametrize(("undocumented", "cell"), PLAYED)
def test_a_redrive_goes_on_whatever_aws_leaves_open(
    undocumented: Undocumented,
    cell: Cell,
    deployed: LocalEnvironment,
    new_world: Callable[[], World],
    observer: Observer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deployed.aws.executions, "undocumented", undocumented)
    here = play(new_world(), observer, cell)
    if here.run.status in REDRIVABLE:
        carry_on(here, REDRIVE)
    assert not here.wrong, "; ".join(here.wrong)
