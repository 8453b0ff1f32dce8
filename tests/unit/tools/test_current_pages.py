"""Every generated page is what its generator would write."""

from __future__ import annotations

from types import ModuleType

import pytest

from tools import (
    configuration_reference,
    configuration_schema,
    git_answers_table,
    outcomes_table,
    recovery_table,
    state_diagram,
)


@pytest.mark.parametrize(
    "generator",
    [
        configuration_reference,
        configuration_schema,
        git_answers_table,
        outcomes_table,
        recovery_table,
        state_diagram,
    ],
    ids=lambda module: module.__name__,
)
def test_pages_are_current(generator: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert generator.main(["--check"]) == 0, capsys.readouterr().err
