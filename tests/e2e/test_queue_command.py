"""`kiro-worker pause` and `resume` in their own processes, against the endpoint of the deployment."""

from __future__ import annotations

from pathlib import Path

import pytest

from kiro_worker.records.breaker import open_breaker, read_breaker
from tests.e2e.test_replay_command import Command
from tests.support.world import World

pytestmark = pytest.mark.e2e


@pytest.fixture
def command(world: World, tmp_path: Path) -> Command:
    return Command(world, tmp_path)


def test_pause_and_resume(world: World, command: Command) -> None:
    world.card()
    code, output, errors = command.run("pause", "--reason", "release [day]")
    assert (code, errors) == (0, "")
    assert "release [day]" in output
    assert "kiro-worker resume --environment test" in output
    paused = world.tick()
    assert paused.outcome == "Paused"
    assert "arn:aws:sts::" in paused.output["reason"]
    assert "release [day]" in paused.output["reason"]
    code, answer = command.json("resume")
    assert (code, answer["wasPaused"], answer["pauseReason"]) == (0, True, "release [day]")
    assert world.tick().outcome == "Succeeded"


def test_resume_closes_breaker(world: World, command: Command) -> None:
    open_breaker(world.records(), "SecretEmpty", "the secret x is empty")
    code, output, _ = command.run("resume")
    assert code == 0
    assert "stopped by SecretEmpty since" in output
    assert not read_breaker(world.records()).is_open
    assert "neither paused nor stopped" in command.run("resume")[1]


@pytest.mark.parametrize("name", ["pause", "resume"])
@pytest.mark.parametrize(
    ("environment", "code", "part"), [("nowhere", 2, "there is no environment"), ("staging", 1, "check --environment")]
)
def test_wrong_environment_is_named(command: Command, name: str, environment: str, code: int, part: str) -> None:
    found, _, errors = command.run(name, "--environment", environment)
    assert found == code
    assert part in " ".join(errors.split())
