"""The limits of a build: which of them stops the next turn, and what the reason says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kiro_worker.config.settings import REPOSITORY_FILE, AgentSettings, Settings
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.agent.adapters import ADAPTERS
from kiro_worker.runner.agent.limits import note_usage, require_within_limits
from kiro_worker.runner.agent.turn import AgentRun
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.runner.sandbox.processes import Finished


def check(limits: dict[str, Any], *runs: tuple[float | None, float], origin: str = "repositoryDefaults") -> None:
    """Note runs of this cost and time, and check the limits."""
    settings = Settings(origins={"agent.maxCredits": origin})
    progress = BuildProgress(tasks_done=2, tasks_open=3, settings=settings)
    for cost, seconds in runs:
        run = AgentRun(Finished(0, timed_out=False, seconds=seconds), cost, seconds, None)
        note_usage(run, progress)
    require_within_limits(replace(AgentSettings(), **limits), ADAPTERS["kiro"], progress, run)


@pytest.mark.parametrize(
    ("limits", "runs"),
    [
        ({}, [(None, 36_000)]),
        ({"max_credits": 4}, [(1.5, 60), (2, 60)]),
        ({"max_minutes": 2}, [(None, 59), (None, 60)]),
    ],
)
def test_turn_within_limits_is_allowed(limits: dict[str, Any], runs: list[tuple[float | None, float]]) -> None:
    check(limits, *runs)


@pytest.mark.parametrize(
    ("limits", "runs", "outcome", "reason"),
    [
        (
            {"max_credits": 4},
            [(2, 1), (2, 1)],
            Outcome.BUDGET_EXHAUSTED,
            "the agent spent 4 credits, and agent.maxCredits is 4",
        ),
        ({"max_credits": 4}, [(1, 1), (None, 1)], Outcome.AGENT_FAILED, "kiro does not report the cost of its turns"),
        ({"max_minutes": 2}, [(1, 60), (1, 60)], Outcome.BUDGET_EXHAUSTED, "the agent worked for 2.0 minutes"),
    ],
)
def test_reached_limit_stops_build(
    limits: dict[str, Any], runs: list[tuple[float | None, float]], outcome: Outcome, reason: str
) -> None:
    with pytest.raises(BuildStopped, match=reason) as stopped:
        check(limits, *runs)

    assert stopped.value.outcome is outcome
    assert stopped.value.reason.endswith("2 tasks are done and kept, 3 are open")


@pytest.mark.parametrize(
    ("origin", "owner"),
    [
        (REPOSITORY_FILE, FaultOwner.REPOSITORY),
        ("repositoryDefaults", FaultOwner.INSTALLATION),
        ("limits.credits", FaultOwner.INSTALLATION),
    ],
)
def test_limit_that_cannot_be_enforced_is_of_who_set_it(origin: str, owner: FaultOwner) -> None:
    with pytest.raises(BuildStopped) as stopped:
        check({"max_credits": 4}, (None, 1), origin=origin)

    assert stopped.value.owner is owner
