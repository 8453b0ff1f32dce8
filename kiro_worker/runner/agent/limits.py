"""The limits of all turns of a build together: ``agent.maxMinutes`` and ``agent.maxCredits``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import FaultOwner, Outcome

if TYPE_CHECKING:
    from kiro_worker.config.settings import AgentSettings
    from kiro_worker.runner.agent.adapters import Adapter
    from kiro_worker.runner.agent.turn import AgentRun
    from kiro_worker.runner.progress import BuildProgress


def note_usage(run: AgentRun, progress: BuildProgress) -> None:
    """Add the turn's cost and time to the build's."""
    if run.cost is not None:
        progress.agent_credits = round((progress.agent_credits or 0) + run.cost, 6)
    progress.agent_seconds = round((progress.agent_seconds or 0) + run.seconds, 1)


def require_within_limits(
    configuration: AgentSettings, adapter: Adapter, progress: BuildProgress, last_run: AgentRun
) -> None:
    """Raise :class:`BuildStopped` (BudgetExhausted, AgentFailed) when a limit allows no further turn."""
    # The reason names what prevented the push to the checkpoint, if anything did.
    done = "done" if progress.checkpoint_problem else "done and kept"
    work = f"{progress.tasks_done} tasks are {done}, {progress.tasks_open} are open"
    minutes, max_minutes = (progress.agent_seconds or 0) / 60, configuration.max_minutes
    if max_minutes is not None and minutes >= max_minutes:
        raise BuildStopped(
            Outcome.BUDGET_EXHAUSTED,
            f"the agent worked for {minutes:.1f} minutes, and agent.maxMinutes is {max_minutes:g}: {work}",
            "redrive the execution, which continues with the open tasks, or raise agent.maxMinutes",
        )
    spent, max_credits = progress.agent_credits or 0, configuration.max_credits
    if max_credits is None:
        return
    if last_run.cost is None:
        raise BuildStopped(
            Outcome.AGENT_FAILED,
            f"{adapter.name} does not report the cost of its turns, so agent.maxCredits cannot be enforced: {work}",
            "remove agent.maxCredits, or use agent.maxMinutes",
            owner=_owner_of(progress, "agent.maxCredits"),
        )
    if spent >= max_credits:
        raise BuildStopped(
            Outcome.BUDGET_EXHAUSTED,
            f"the agent spent {spent:g} {adapter.unit}, and agent.maxCredits is {max_credits:g}: {work}",
            "redrive the execution, which continues with the open tasks, or raise agent.maxCredits",
        )


def _owner_of(progress: BuildProgress, key: str) -> FaultOwner:
    """Return who set ``key``: what a repository's own file asks for must not stop the queue."""
    origins = progress.settings.origins if progress.settings else {}
    return FaultOwner.REPOSITORY if origins.get(key) == REPOSITORY_FILE else FaultOwner.INSTALLATION
