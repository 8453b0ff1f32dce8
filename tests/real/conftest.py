"""A deployed worker for each test, and the table at the end: what was detected, how long it took, how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kiro_local.environment import LocalEnvironment
from kiro_local.github.stand_in import StandInGitHub
from tests.conftest import Deployments
from tests.support.world import StateHooks, World, access, create_world, stand_in_github

_COLUMNS = ("project", "style", "detected", "configuration lines", "seconds", "outcome")
_ROW = "real project"
_PATIENCE = 900
"""Seconds. Setup downloads packages, and other tests share the machine."""
Note = Callable[..., None]


@pytest.fixture(scope="session")
def stand_in() -> Iterator[StandInGitHub]:
    with stand_in_github() as github:
        yield github


@pytest.fixture
def world(deployments: Deployments, stand_in: StandInGitHub, open_folder: Path) -> World:
    """A new organization on a deployed worker."""
    start = partial(LocalEnvironment, access(stand_in), {}, pause_scale=0.01)
    local = deployments.get("real", start)
    world = create_world(local, stand_in, open_folder, StateHooks(), test_command="")
    world.patience = _PATIENCE
    return world


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Adds a row to the table."""

    def add(**row: Any) -> None:
        record_property(_ROW, {key: str(value) for key, value in row.items()})

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    rows = [
        value
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for key, value in report.user_properties
        if key == _ROW and isinstance(value, dict)
    ]
    if not rows:
        return
    terminalreporter.section("real projects")
    table = [_COLUMNS, *(tuple(row.get(column.split()[0], "") for column in _COLUMNS) for row in rows)]
    widths = [max(len(line[number]) for line in table) for number in range(len(_COLUMNS))]
    for line in table:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
