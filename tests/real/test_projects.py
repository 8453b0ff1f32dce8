"""Published projects go through the whole worker with the default configuration, or with their own short file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.distributions import committed_files, fetch, require_index
from tests.real.projects import OWN_TEST_WORDS, PROJECTS, RealProject
from tests.real.work import (
    CONFIGURATION_FILE,
    SPEC,
    Work,
    add_card,
    create_project,
    detection,
    use_scripted_agent,
    work_off,
)
from tests.support.world import World

pytestmark = pytest.mark.e2e

EACH = pytest.mark.parametrize(
    "project",
    [
        pytest.param(project, id=project.name, marks=() if project.is_quick else pytest.mark.real)
        for project in PROJECTS
    ],
)


def build(world: World, project: RealProject, *, broken: bool = False) -> Work:
    distribution = project.distribution
    require_index(distribution.registry)
    files: dict[str, bytes | str] = {**committed_files(fetch(distribution))}
    if project.configuration:
        files[CONFIGURATION_FILE] = project.configuration
    create_project(world.repository, files, version=distribution.version)
    add_card(world, world.repository, project.function.path, project.test.path)
    use_scripted_agent(world, {SPEC: project.edits(broken=broken)})
    return work_off(world)


@EACH
def test_project_needs_at_most_a_short_file(world: World, project: RealProject, note: Note, tmp_path: Path) -> None:
    work = build(world, project)
    note(
        project=f"{project.name} {project.distribution.version}",
        style=project.style,
        detected=detection(work, world.repository, tmp_path),
        configuration=project.configuration_lines,
        seconds=round(work.seconds),
        outcome=work.outcome,
    )
    assert work.outcome == "Succeeded", work.problem
    assert project.configuration_lines <= 5


@EACH
@pytest.mark.real
def test_broken_work_is_rejected(world: World, project: RealProject) -> None:
    """The agent breaks its function and a line of the project: a test of each has to fail."""
    work = build(world, project, broken=True)
    assert work.outcome == "TestsFailed", work.problem
    failed = work.failed_tests
    own = [name for name in failed if any(word in name for word in OWN_TEST_WORDS)]
    assert own, f"the agent's test is not among the failed ones: {failed}"
    assert len(own) < len(failed), f"no test of the project failed: {failed}"
