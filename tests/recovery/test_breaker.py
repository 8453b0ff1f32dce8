"""The breaker under faults and races: it opens before a card moves, elects one probe, and closes when a build proves
that the installation works.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from kiro_local.aws.fault_injection import execution_of
from kiro_local.environment import NAMES
from kiro_local.faults import parse_fault
from kiro_local.github.model import Item
from kiro_worker.records.breaker import open_breaker, read_breaker
from kiro_worker.records.table import RecordsTable
from tests.recovery.observer import Observer
from tests.recovery.scenario import BRANCH, count_turns, finish
from tests.support.world import World

pytestmark = pytest.mark.e2e


@pytest.fixture
def world(new_world: Callable[[], World], observer: Observer) -> World:
    world = new_world()
    count_turns(world)
    return world


def broken_installation(world: World) -> Item:
    """A waiting card, and an agent that is not available."""
    card = world.card(BRANCH)
    world.local.aws.faults.add(parse_fault("RunBuild:AgentUnavailable"))
    return card


def test_breaker_opens_before_card_moves(world: World) -> None:
    card = broken_installation(world)
    was_open: list[bool] = []

    def look(operation: str) -> None:
        if operation == "SetStatus" and world.status(card) == "In Progress":
            was_open.append(read_breaker(world.records()).is_open)

    watched = world.github.on_request
    world.github.on_request = look
    try:
        run = finish(world, world.local.tick())
    finally:
        world.github.on_request = watched
    assert (run.status, run.error) == ("FAILED", "AgentUnavailable")
    assert was_open == [True], "another tick could have taken the next card"
    assert world.status(card) == "For Implementation"


@pytest.mark.parametrize("kind", ["service-error", "answer-lost", "killed-after", "function-timed-out"])
def test_breaker_opens_whatever_happens_to_report(world: World, kind: str) -> None:
    card = broken_installation(world)
    world.local.aws.faults.add(parse_fault(f"MarkFailed:{kind}:always"))
    assert finish(world, world.local.tick()).status == "FAILED"
    world.local.aws.faults.clear()
    opened = read_breaker(world.records()).is_open
    assert opened is (kind != "service-error"), "that one never reached the function"
    if opened:
        assert finish(world, world.local.tick()).outcome == "InstallationUnavailable"
        world.end_wait_of_breaker()
    for _ in range(2):
        finish(world, world.local.tick())
    assert world.status(card) == "In Review"
    assert world.comments()[0].startswith("<!-- kiro-worker")


def test_one_of_many_ticks_is_probe(world: World) -> None:
    world.configure(lockScope="branch")
    cards = [world.card(f"feature/sum-{number}") for number in range(4)]
    open_breaker(world.records(), "SecretEmpty", "the secret x is empty")
    world.end_wait_of_breaker()
    started: list[str] = []

    def wait_for_others() -> None:
        world.wait_until(lambda: len(started) == 8)
        world.wait_until(lambda: sum(map(is_over, started)) == 7)

    world.entered["RunBuild"] = wait_for_others
    started.extend(world.local.tick() for _ in range(8))
    runs = [finish(world, arn) for arn in started]
    assert sorted(run.outcome for run in runs) == ["InstallationUnavailable"] * 7 + ["Succeeded"]
    assert not read_breaker(world.records()).is_open
    assert {world.status(card) for card in cards} == {"In Review"}, "the queue goes on"


def is_over(arn: str) -> bool:
    drive = execution_of(arn)._drive
    return drive is not None and drive.concluded.is_set()


def test_breaker_swallows_no_redrive(world: World) -> None:
    card = broken_installation(world)
    failed = finish(world, world.local.tick())
    world.local.redrive(failed.arn)
    redriven = finish(world, failed.arn)
    assert (redriven.status, redriven.outcome) == ("SUCCEEDED", "Succeeded")
    assert world.status(card) == "In Review"
    assert not read_breaker(world.records()).is_open


def test_failure_of_card_closes_breaker(world: World) -> None:
    broken_installation(world)
    finish(world, world.local.tick())
    world.end_wait_of_breaker()
    world.local.aws.faults.add(parse_fault("RunBuild:TestsFailed"))
    assert finish(world, world.local.tick()).error == "TestsFailed"
    assert not read_breaker(world.records()).is_open


def test_build_from_before_failure_closes_nothing(world: World) -> None:
    world.configure(lockScope="branch")
    world.card("feature/early")

    def fail_meanwhile() -> None:
        # The lock's fence is in milliseconds, and the record is in seconds.
        records = RecordsTable(world.local.client("dynamodb"), NAMES.records_table, lambda: time.time() + 1)
        open_breaker(records, "SecretEmpty", "the secret x is empty")

    world.entered["RunBuild"] = fail_meanwhile
    assert finish(world, world.local.tick()).outcome == "Succeeded"
    assert read_breaker(world.records()).is_open


def test_card_that_cannot_be_checked_is_passed_over(world: World) -> None:
    poison, ready = world.card("feature/poison"), world.card(BRANCH)
    world.backdate(poison, ready)
    world.local.aws.faults.add(parse_fault("ValidateWorkItem:function-timed-out"))
    run = finish(world, world.local.tick())
    assert run.outcome == "Succeeded", run.cause
    assert world.status(ready) == "In Review"
    assert finish(world, world.local.tick()).outcome == "CardsPassedOver"
