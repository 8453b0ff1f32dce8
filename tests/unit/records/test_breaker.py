from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from kiro_worker.records.breaker import (
    FIRST_WAIT_SECONDS,
    Breaker,
    close_breaker,
    elect_probe,
    open_breaker,
    pause,
    read_breaker,
    resume,
)
from kiro_worker.records.table import RecordsTable
from tests.support.memory_dynamodb import MemoryDynamoDB

START = 1_790_000_000
ONE, TWO = "arn:one", "arn:two"


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Table:
    """The records, and the clock that they read."""

    clock: Clock = field(default_factory=Clock)
    dynamodb: Any = field(default_factory=MemoryDynamoDB)

    @property
    def records(self) -> RecordsTable:
        return RecordsTable(self.dynamodb, "records", self.clock)

    def read(self) -> Breaker:
        return read_breaker(self.records)


@pytest.fixture
def table() -> Table:
    return Table()


def test_breaker_is_closed_without_record(table: Table) -> None:
    assert table.read() == Breaker()
    assert not table.read().is_open
    assert not table.read().is_paused


def test_first_failure_opens_for_five_minutes(table: Table) -> None:
    open_breaker(table.records, "SecretEmpty", "the secret x is empty")
    assert table.read() == Breaker("SecretEmpty", "the secret x is empty", START, START + 300, 300)
    assert "expiresAt" not in table.dynamodb.items["breaker"], "an open breaker must not expire unnoticed"


def test_more_failures_keep_times(table: Table) -> None:
    open_breaker(table.records, "SecretEmpty", "old")
    table.clock.now += 200
    open_breaker(table.records, "AgentUnavailable", "new")
    assert table.read() == Breaker("AgentUnavailable", "new", START, START + 300, 300)


def test_lost_answer_changes_nothing(table: Table) -> None:
    table.dynamodb.resend_next_update = True
    open_breaker(table.records, "SecretEmpty", "x")
    opened = table.read()
    table.clock.now += 300
    table.dynamodb.resend_next_update = True
    assert elect_probe(table.records, opened, ONE), "the second write finds the first one's time"
    assert elect_probe(table.records, table.read(), ONE), "a retried step finds itself elected"
    assert not elect_probe(table.records, opened, TWO)


def test_wait_doubles_up_to_an_hour(table: Table) -> None:
    open_breaker(table.records, "SecretEmpty", "x")
    waits = []
    for number in range(6):
        table.clock.now = table.read().retry_after
        assert elect_probe(table.records, table.read(), f"arn:{number}")
        open_breaker(table.records, "SecretEmpty", "x")
        waits.append(table.read().retry_after - table.clock.now)
    assert waits == [600, 1200, 2400, 3600, 3600, 3600]


def test_one_of_many_is_elected(table: Table) -> None:
    open_breaker(table.records, "SecretEmpty", "x")
    table.clock.now += 300
    seen = table.read()
    assert [elect_probe(table.records, seen, f"arn:{number}") for number in range(64)] == [True] + [False] * 63


def test_probe_closes_it(table: Table) -> None:
    open_breaker(table.records, "SecretEmpty", "x")
    table.clock.now += 300
    assert elect_probe(table.records, table.read(), ONE)
    assert not close_breaker(table.records, TWO, proven_at=START - 1), "a build from before the failure"
    assert close_breaker(table.records, ONE, proven_at=START - 1)
    assert table.read() == Breaker()


@pytest.mark.parametrize(("proven_at", "closed"), [(START - 100, False), (START, False), (START + 1, True)])
def test_later_lock_closes_it(table: Table, proven_at: float, closed: bool) -> None:
    open_breaker(table.records, "SecretEmpty", "x")
    assert close_breaker(table.records, TWO, proven_at) is closed
    assert table.read().is_open is not closed


def test_new_failure_during_close_wins(table: Table) -> None:
    open_breaker(table.records, "SecretEmpty", "x")
    table.dynamodb.before_updates.append(lambda: open_breaker(table.records, "AgentUnavailable", "new"))
    assert not close_breaker(table.records, ONE, START + 10)
    assert table.read().error == "AgentUnavailable"


def test_pause_and_failure_share_record(table: Table) -> None:
    pause(table.records, "ann", "release day")
    open_breaker(table.records, "SecretEmpty", "x")
    found = table.read()
    assert (found.is_paused, found.is_open, found.paused_by, found.pause_reason) == (True, True, "ann", "release day")
    assert close_breaker(table.records, ONE, START + 10)
    assert (table.read().is_paused, table.read().is_open) == (True, False)


def test_resume_clears_both(table: Table) -> None:
    pause(table.records, "ann", "release day")
    open_breaker(table.records, "SecretEmpty", "x")
    before = resume(table.records)
    assert (before.paused_by, before.error) == ("ann", "SecretEmpty")
    assert table.read() == Breaker()


def test_named_reset_is_awaited(table: Table) -> None:
    now = table.records.now()
    open_breaker(table.records, "AgentUnavailable", "x", "ONE", now + 7200)
    assert read_breaker(table.records).retry_after == now + 7200


def test_named_reset_is_awaited_for_a_day_at_most(table: Table) -> None:
    now = table.records.now()
    open_breaker(table.records, "AgentUnavailable", "x", "ONE", now + 10**6)
    assert read_breaker(table.records).retry_after == now + 86_400


def test_near_or_past_reset_changes_nothing(table: Table) -> None:
    now = table.records.now()
    open_breaker(table.records, "AgentUnavailable", "x", "ONE", now - 5)
    assert read_breaker(table.records).retry_after == now + FIRST_WAIT_SECONDS


def test_reset_named_by_probe_prolongs_the_wait(table: Table) -> None:
    open_breaker(table.records, "SecretEmpty", "x")
    since, now = read_breaker(table.records).since, table.records.now()
    open_breaker(table.records, "AgentUnavailable", "y", "ONE", now + 7200)
    breaker = read_breaker(table.records)
    assert (breaker.error, breaker.since, breaker.retry_after) == ("AgentUnavailable", since, now + 7200)
    open_breaker(table.records, "AgentUnavailable", "y", "ONE", now + 3600)
    assert read_breaker(table.records).retry_after == now + 7200
