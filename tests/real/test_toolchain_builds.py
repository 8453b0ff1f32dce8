"""A small repository per toolchain goes through the whole worker with the default configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.toolchains import ToolchainRepository, toolchain_repositories
from tests.real.work import SPEC, Edits, Work, add_card, create_project, detection, use_scripted_agent, work_off
from tests.support.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.real]


@pytest.fixture(params=toolchain_repositories(), ids=lambda repository: repository.name)
def toolchain(request: pytest.FixtureRequest) -> ToolchainRepository:
    found: ToolchainRepository = request.param
    if found.missing:
        pytest.skip(found.missing)
    return found


def build(world: World, toolchain: ToolchainRepository, *, broken: bool = False) -> Work:
    create_project(world.repository, _files(toolchain.folder))
    addition = [{"path": path, "text": text} for path, text in _files(toolchain.addition).items()]
    add_card(world, world.repository, addition[0]["path"], addition[-1]["path"])
    path, text, replacement = toolchain.mutant
    fault = [{"path": path, "old": text, "new": replacement}] if broken else []
    edits: Edits = {"1.1": [*addition, *fault], "1.2": [{"path": "NOTES.md", "text": "The test is there.\n"}]}
    use_scripted_agent(world, {SPEC: edits})
    return work_off(world)


def test_toolchain_needs_no_file(world: World, toolchain: ToolchainRepository, note: Note, tmp_path: Path) -> None:
    work = build(world, toolchain)
    note(
        project=f"own {toolchain.name} repository",
        style="no dependencies",
        detected=detection(work, world.repository, tmp_path),
        configuration=0,
        seconds=round(work.seconds),
        outcome=work.outcome,
    )
    assert work.outcome == "Succeeded", work.problem


def test_broken_work_is_rejected(world: World, toolchain: ToolchainRepository) -> None:
    work = build(world, toolchain, broken=True)
    assert work.outcome == "TestsFailed", work.problem


def _files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}
