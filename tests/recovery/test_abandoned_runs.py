"""Builds that outlive their execution: that an abort stops the build is best effort, and nothing rests on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from kiro_local.aws import status_events
from kiro_local.aws.build_run import BuildEnding
from kiro_local.aws.fault_injection import execution_of
from kiro_local.environment import LocalEnvironment
from kiro_local.faults import parse_fault
from tests.recovery.observer import Observer
from tests.recovery.scenario import AGENT, BRANCH, DONE, count_turns, quiet, settled
from tests.support.world import World, names

pytestmark = pytest.mark.e2e

_WAITS = "sh -c 'while [ ! -f {go} ]; do sleep 0.02; done'"


class Held:
    """Status events that wait to be let go."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []

    def __call__(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)

    def let_go(self) -> None:
        for event in self.events:
            status_events.deliver(event)


@pytest.fixture
def abort_stops_nothing(deployed: LocalEnvironment) -> Iterator[None]:
    runtime = deployed.aws.executions
    before = runtime.undocumented
    runtime.undocumented = replace(before, abort_stops_build=False, machine_timeout_stops_build=False)
    yield
    runtime.undocumented = before


def aborted_while_testing(world: World) -> str:
    """An execution that was aborted while its build, which runs on, waits in the project's tests."""
    world.configure(testCommand=_WAITS.format(go=world.folder / "go"))
    count_turns(world)
    world.card(BRANCH)
    arn = world.local.tick()
    testing = []
    world.local.aws.faults.at_line("── tests", lambda: testing.append(True))
    world.wait_until(lambda: bool(testing))
    world.local.client("stepfunctions").stop_execution(executionArn=arn)
    drive = execution_of(arn)._drive
    assert drive is not None
    drive.concluded.wait(60)
    return arn


def running(world: World) -> list[str]:
    return [name for name, build in world.local.aws.builds._builds.items() if not build.run.finished.is_set()]


@pytest.mark.usefixtures("abort_stops_nothing")
def test_the_clean_up_stops_a_build_that_was_left_behind(new_world: Callable[[], World], observer: Observer) -> None:
    world = new_world()
    world.local.aws.faults.deliver = held = Held()
    aborted_while_testing(world)
    assert running(world)
    held.let_go()
    world.wait_until(lambda: world.local.lock() is None)
    assert running(world) == [], "the lock was freed under a build that works"
    assert "def add" not in world.file("sums.py", BRANCH)
    assert observer.violations == []


@pytest.mark.usefixtures("abort_stops_nothing")
def test_without_its_event_the_next_tick_stops_it_and_builds_alone(
    new_world: Callable[[], World], observer: Observer
) -> None:
    world = new_world()
    world.local.aws.faults.deliver = lambda _event: None
    aborted_while_testing(world)
    assert running(world)
    world.configure(testCommand="true")
    other = world.card("feature/other")
    run = world.finish(world.local.tick())
    assert run.outcome == "Succeeded"
    assert world.status(other) == "In Review"
    assert observer.violations == []
    assert "def add" not in world.file("sums.py", BRANCH)


@pytest.mark.usefixtures("abort_stops_nothing")
def test_a_build_whose_lock_is_gone_pushes_nothing(new_world: Callable[[], World], observer: Observer) -> None:
    """A person deleted the lock, so nobody knew of the build: it stops by itself."""
    world = new_world()
    world.local.aws.faults.deliver = lambda _event: None
    aborted_while_testing(world)
    assert running(world)
    key = {"lockKey": {"S": "work-item-processor-lock"}}
    world.local.client("dynamodb").delete_item(TableName="kiro-worker-test-locks", Key=key)
    (world.folder / "go").touch()
    quiet(world)
    assert "def add" not in world.file("sums.py", BRANCH)
    assert observer.violations == []


@pytest.mark.usefixtures("abort_stops_nothing")
def test_a_redrive_beside_its_own_build_says_so_and_the_next_carries_on(
    new_world: Callable[[], World], observer: Observer
) -> None:
    world = new_world()
    world.local.aws.faults.deliver = lambda _event: None
    arn = aborted_while_testing(world)
    world.local.redrive(arn)
    drive = execution_of(arn)._drive
    assert drive is not None
    drive.concluded.wait(60)
    first = world.read(arn)
    assert (first.status, first.error) == ("FAILED", "LockLost")
    (world.folder / "go").touch()
    quiet(world)
    world.local.redrive(arn)
    assert settled(world, arn).outcome == "Succeeded"
    assert observer.violations == []


def test_a_redrive_that_fails_again_builds_once_and_says_why(new_world: Callable[[], World]) -> None:
    world = new_world()
    world.agent(AGENT.format(turns=str(world.folder / "turns")))
    world.card(BRANCH)
    faults = world.local.aws.faults
    faults.add(parse_fault("RunBuild:TestsFailed:always"))
    failed = settled(world, world.local.tick())

    def enough() -> None:
        world.entered["RunBuild"] = faults.clear

    world.entered["RunBuild"] = enough
    world.local.redrive(failed.arn)
    again = settled(world, failed.arn)
    assert (again.status, again.error) == ("FAILED", "TestsFailed")
    assert names(again).count("RunBuild") == 2


def test_work_that_was_pushed_before_its_build_died_is_recognised_by_a_redrive(
    new_world: Callable[[], World], observer: Observer
) -> None:
    """The build pushed and was killed before it could say so: all tasks are done, and the run failed."""
    world = new_world()
    world.agent(AGENT.format(turns=str(world.folder / "turns")))
    card = world.card(BRANCH)

    def push_and_die() -> None:
        [live] = world.local.aws.executions._live
        trailer = f"Implement 1 Write the function\n\nKiro-Worker-Execution: {live.exec_arn}\n"
        tasks = ".kiro/specs/feature-sum/tasks.md"
        files = {"sums.py": DONE, tasks: world.file(tasks, BRANCH).replace("[ ]", "[x]")}
        world.repository.git.commit(BRANCH, files, trailer)
        world.local.aws.builds.end_next_as(BuildEnding("FAILED"))

    world.entered["RunBuild"] = push_and_die
    failed = settled(world, world.local.tick())
    assert failed.status == "FAILED"
    head = world.head(BRANCH)
    world.local.redrive(failed.arn)
    redriven = settled(world, failed.arn)
    assert (redriven.status, redriven.outcome) == ("SUCCEEDED", "Succeeded"), redriven.cause
    assert (world.status(card), world.head(BRANCH)) == ("In Review", head)
    assert not (world.folder / "turns").exists(), "no agent is paid for work that is done"
