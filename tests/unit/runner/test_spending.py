"""What a build records about its cost: when, under which name and day, and what happens if that fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kiro_worker.models import Lease
from kiro_worker.records.days import spending_attribute, spent
from kiro_worker.records.table import RecordsTable
from kiro_worker.runner.agent.turn import AgentRun
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.runner.request import BuildRequest
from kiro_worker.runner.sandbox.processes import Finished
from kiro_worker.runner.spending import Spending
from tests.support.memory_dynamodb import MemoryDynamoDB

LAST_SECOND = 1_767_398_399.0  # 2026-01-02 23:59:59 UTC
DAY, OF_SHOP = "day#2026-01-02", "day#2026-01-02#acme/shop"
REQUEST = BuildRequest("Acme/Shop", "x", "0" * 40, "s", 1, Lease("lock", "local-build-1", 0, 0), started_by_hand=True)


class Throttled(MemoryDynamoDB):
    """Refuses updates while ``refused`` is positive."""

    refused = 0
    updates = 0

    def update_item(self, **request: Any) -> dict[str, Any]:
        self.updates += 1
        if self.refused:
            self.refused -= 1
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "UpdateItem")
        return super().update_item(**request)


@dataclass
class Build:
    """A build's spending with the edges that it uses. ``said`` is its log."""

    environment: dict[str, str] = field(default_factory=lambda: {"CODEBUILD_BUILD_ID": "kiro-worker-test:5f2c"})
    dynamodb: Throttled = field(default_factory=Throttled)
    progress: BuildProgress = field(default_factory=BuildProgress)
    said: list[str] = field(default_factory=list)
    time: float = LAST_SECOND

    def __post_init__(self) -> None:
        self.records = RecordsTable(self.dynamodb, "records", clock=lambda: self.time)  # type: ignore[arg-type]  # answers the same requests
        self.log = self
        self.say = self.said.append
        self.spending = Spending(REQUEST, self, self.progress)  # type: ignore[arg-type]  # has the edges that it uses

    def turn(self, cost: float | None, seconds: float = 60) -> None:
        self.spending.note_turn(AgentRun(Finished(0, timed_out=False, seconds=seconds), cost, seconds, None))

    @property
    def recorded(self) -> dict[str, float]:
        return {key: spent(item) for key, item in self.dynamodb.items.items()}


@pytest.fixture
def build() -> Build:
    return Build()


def test_each_turn_is_recorded_under_build_and_its_first_day(build: Build) -> None:
    build.turn(0.1)
    assert build.recorded == {DAY: 0.1, OF_SHOP: 0.1}
    build.time += 3600
    build.turn(0.2)
    assert build.recorded == {DAY: 0.3, OF_SHOP: 0.3}
    assert build.dynamodb.items[DAY][spending_attribute("kiro-worker-test:5f2c")] == {"N": "0.3"}
    assert build.progress.agent_credits == 0.3


def test_cost_that_agent_does_not_report_is_not_recorded(build: Build) -> None:
    build.turn(None)
    build.spending.record()
    assert (build.recorded, build.progress.agent_seconds) == ({}, 60)
    build.turn(0.0)
    build.turn(None)
    assert build.recorded == {DAY: 0, OF_SHOP: 0}, "an agent that reports a cost of nothing is known"


def test_failure_stops_nothing_and_is_repeated(build: Build) -> None:
    build.dynamodb.refused = 1
    build.turn(0.1)
    assert build.recorded == {}
    [said] = build.said
    assert said.startswith("the daily budgets miss what this build spent, which cannot be recorded: ")
    assert "slow down" in said
    build.spending.record()
    assert build.recorded == {DAY: 0.1, OF_SHOP: 0.1}


def test_record_of_repository_that_failed_is_repeated(build: Build) -> None:
    build.dynamodb.before_updates = [lambda: setattr(build.dynamodb, "refused", 1)]
    build.turn(0.1)
    assert build.recorded == {DAY: 0.1}
    build.spending.record()
    assert build.recorded == {DAY: 0.1, OF_SHOP: 0.1}


def test_what_is_recorded_is_not_written_again(build: Build) -> None:
    build.turn(0.1)
    build.spending.record()
    assert build.dynamodb.updates == 2


def test_build_without_id_is_named_by_its_owner() -> None:
    build = Build(environment={})
    build.turn(0.5)
    assert build.dynamodb.items[OF_SHOP][spending_attribute("local-build-1")] == {"N": "0.5"}
