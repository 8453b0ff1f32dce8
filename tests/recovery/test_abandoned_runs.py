"""Builds that still run after their execution has ended. AWS stops the build of an aborted execution as best effort, so
the worker does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from kiro_local.aws import status_events
from kiro_local.aws.build_run import BuildEnding
from kiro_local.aws.fault_injection import execution_of
from kiro_local.environment import LocalEnvironment
from kiro_local.faults import parse_fault
from kiro_worker.records.runs import RunRecord, note_push
from tests.recovery.observer import Observer
from tests.recovery.scenario import AGENT, BRANCH, CHECKPOINT, DONE, count_turns, finish, turns_of, wait_until_idle
from tests.support.world import World, names

pytestmark = pytest.mark.e2e

_WAITS = "sh -c 'while [ ! -f {go} ]; do sleep 0.02; done'"


class HeldEvents:
    """Holds status events back until the test delivers them."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []

    def __call__(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)

    def deliver(self) -> None:
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
    """Start an execution and abort it while its build, which continues to run, waits in the project's tests."""
    world.configure(test=_WAITS.format(go=world.folder / "go"))
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
def test_clean_up_stops_orphaned_build(new_world: Callable[[], World], observer: Observer) -> None:
    world = new_world()
    world.local.aws.faults.deliver = held = HeldEvents()
    aborted_while_testing(world)
    assert running(world)
    held.deliver()
    world.wait_until(lambda: world.local.lock() is None)
    assert running(world) == [], "the lock was freed under a working build"
    assert "def add" not in world.file("sums.py", BRANCH)
    assert observer.violations == []


@pytest.mark.usefixtures("abort_stops_nothing")
def test_next_tick_stops_orphaned_build(new_world: Callable[[], World], observer: Observer) -> None:
    world = new_world()
    world.local.aws.faults.deliver = lambda _event: None
    aborted_while_testing(world)
    assert running(world)
    world.configure(test="true")
    other = world.card("feature/other")
    run = world.finish(world.local.tick())
    assert run.outcome == "Succeeded"
    assert world.status(other) == "In Review"
    assert observer.violations == []
    assert "def add" not in world.file("sums.py", BRANCH)


@pytest.mark.usefixtures("abort_stops_nothing")
def test_build_without_lock_pushes_nothing(new_world: Callable[[], World], observer: Observer) -> None:
    """A person deleted the lock, so that no run knows about the build: it stops by itself."""
    world = new_world()
    world.local.aws.faults.deliver = lambda _event: None
    aborted_while_testing(world)
    assert running(world)
    key = {"lockKey": {"S": "work-item-processor-lock"}}
    world.local.client("dynamodb").delete_item(TableName="kiro-worker-test-locks", Key=key)
    (world.folder / "go").touch()
    wait_until_idle(world)
    assert "def add" not in world.file("sums.py", BRANCH)
    assert observer.violations == []


@pytest.mark.usefixtures("abort_stops_nothing")
def test_earlier_build_stops_redrive(new_world: Callable[[], World], observer: Observer) -> None:
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
    wait_until_idle(world)
    world.local.redrive(arn)
    assert finish(world, arn).outcome == "Succeeded"
    assert observer.violations == []


def test_failed_redrive_builds_once(new_world: Callable[[], World]) -> None:
    world = new_world()
    world.agent(AGENT.format(turns=str(world.folder / "turns")))
    world.card(BRANCH)
    faults = world.local.aws.faults
    faults.add(parse_fault("RunBuild:TestsFailed:always"))
    failed = finish(world, world.local.tick())

    def fail_once_more() -> None:
        world.entered["RunBuild"] = faults.clear

    world.entered["RunBuild"] = fail_once_more
    world.local.redrive(failed.arn)
    again = finish(world, failed.arn)
    assert (again.status, again.error) == ("FAILED", "TestsFailed")
    assert names(again).count("RunBuild") == 2


def push_everything(world: World, *, recorded: str) -> None:
    """Push all of the work with the execution's trailer, let the build die, and record ``recorded`` or this commit."""
    [live] = world.local.aws.executions._live
    trailer = f"Implement 1 Write the function\n\nKiro-Worker-Execution: {live.exec_arn}\n"
    tasks = ".kiro/specs/feature-sum/tasks.md"
    files = {"sums.py": DONE, tasks: world.file(tasks, BRANCH).replace("[ ]", "[x]")}
    commit = world.repository.git.commit(BRANCH, files, trailer)
    if recorded:
        run = RunRecord(live.exec_arn, world.repository.name_with_owner, BRANCH)
        note_push(world.records(), run, commit if recorded == "pushed" else recorded)
    world.local.aws.builds.end_next_as(BuildEnding("FAILED"))


@pytest.mark.parametrize(
    ("recorded", "ending"),
    [
        ("pushed", ("SUCCEEDED", "Succeeded")),
        ("e" * 40, ("FAILED", "NoChanges")),
        ("", ("SUCCEEDED", "CardsPassedOver")),
    ],
    ids=["own push", "another commit is recorded", "nothing is recorded"],
)
def test_only_recorded_push_is_recognized(
    new_world: Callable[[], World], recorded: str, ending: tuple[str, str]
) -> None:
    """A build that pushed and died before it could report that, and a commit that only says so and needs a redrive."""
    world = new_world()
    count_turns(world)
    card = world.card(BRANCH)
    world.entered["RunBuild"] = partial(push_everything, world, recorded=recorded)
    run = finish(world, world.local.tick())
    head = world.head(BRANCH)
    if recorded != "pushed":
        assert run.status == "FAILED"
        world.local.redrive(run.arn)
        run = finish(world, run.arn)
    assert (run.status, run.outcome) == ending, run.cause
    assert world.head(BRANCH) == head
    # Without a record, the redriven run finds its card back in the queue, and nothing to do on the branch.
    assert world.status(card) == ("In Review" if recorded == "pushed" else "Blocked")
    assert turns_of(world) == 0, "an agent was paid for work that was already done"


def test_foreign_checkpoint_is_not_built_on(new_world: Callable[[], World]) -> None:
    world = new_world()
    count_turns(world)
    world.card(BRANCH)
    git = world.repository.git
    trailer = "Implement 1 Write the function\n\nKiro-Worker-Task: 1 Write the function [1-0]\n"
    git.run("update-ref", CHECKPOINT, git.commit("theirs", {"evil.py": "x\n"}, trailer, base=BRANCH))
    run = finish(world, world.local.tick())
    assert run.outcome == "Succeeded", run.cause
    files = git.run("ls-tree", "--name-only", BRANCH).decode().split()
    assert "sums.py" in files
    assert "evil.py" not in files
    assert turns_of(world) == 1
    assert world.checkpoint(BRANCH) is None
