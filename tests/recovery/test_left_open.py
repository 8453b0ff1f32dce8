"""A redrive of every state, under each way in which AWS could turn out to behave where its documentation is silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kiro_worker.local.aws.undocumented import Undocumented
from kiro_worker.local.environment import LocalEnvironment
from kiro_worker.local.faults import CLEAN_UP
from tests.e2e.world import World
from tests.recovery.cells import REDRIVE, Cell, all_cells
from tests.recovery.observer import Observer
from tests.recovery.play import REDRIVABLE, carry_on, play

pytestmark = [pytest.mark.e2e, pytest.mark.exhaustive]

SETTINGS = {
    "the arguments of before": Undocumented(redrive_evaluates_arguments=False),
    "the context of before": Undocumented(redrive_refreshes_context=False),
    "nothing stops a build": Undocumented(
        abort_stops_build=False, state_timeout_stops_build=False, machine_timeout_stops_build=False
    ),
    "a failed build says nothing": Undocumented(failed_build_exports_variables=False),
}
# What a redrive goes on from: the state itself, with its work undone or done, or FailRun after the state's own failure.
_KINDS = ("aborted", "aborted-during", "aborted-after", "function-timed-out", "TestsFailed")


def cells() -> list[Cell]:
    return [
        cell
        for cell in all_cells()
        if cell.kind in _KINDS and not cell.always and not cell.event and not cell.state.startswith(CLEAN_UP)
    ]


@pytest.fixture(params=list(SETTINGS.values()), ids=list(SETTINGS))
def left_open(request: pytest.FixtureRequest, deployed: LocalEnvironment) -> Iterator[None]:
    runtime = deployed.aws.executions
    before = runtime.undocumented
    runtime.undocumented = request.param
    yield
    runtime.undocumented = before


@pytest.mark.usefixtures("left_open")
@pytest.mark.parametrize("cell", cells(), ids=lambda cell: cell.id)
def test_a_redrive_goes_on_whatever_aws_leaves_open(
    cell: Cell, new_world: Callable[[], World], observer: Observer
) -> None:
    here = play(new_world(), observer, cell)
    if here.run.status in REDRIVABLE:
        carry_on(here, REDRIVE)
    assert not here.wrong, "; ".join(here.wrong)
