"""The stop for an agent whose service does not work: reason, fix, owner, and when the service works again."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.agent.adapters.refusal import Cause

if TYPE_CHECKING:
    from kiro_worker.runner.agent.adapters import PreparedAgent
    from kiro_worker.runner.agent.adapters.refusal import Refusal

_STORE: Final = "kiro-worker-<env>-kiro-api-key"
_LONGEST_WAIT_SECONDS: Final = 24 * 3600
"""A text of the agent cannot stop the queue for longer. After that, another run asks again."""


def unavailable(agent: PreparedAgent, refusal: Refusal, details: str, now: float | None = None) -> BuildStopped:
    """Return the stop for a turn that the agent's service refused. ``now`` is the time in epoch seconds."""
    service = agent.adapter.service
    name, host, page = (service.name, service.host, service.limits_page) if service else (agent.adapter.name, "", "")
    until = _until(refusal, time.time() if now is None else now)
    ends = f", until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC" if until else ""
    reasons = {
        Cause.KEY: f"the {name} API key is not accepted",
        Cause.PLAN: f"the quota or the credits of the {name} API key are used up{ends}",
        Cause.BUSY: f"the rate limit of the {name} API key is reached, or the service is overloaded{ends}",
        Cause.MODEL: f"{name} does not offer the model to this API key",
        Cause.NETWORK: f"{host} cannot be reached from the build",
    }
    remedies = {
        Cause.KEY: f"aws secretsmanager put-secret-value --secret-id {_STORE} --secret-string <key>, with a valid key",
        Cause.PLAN: f"raise the limit or add credits at {page}, wait until the quota resets, or store the key of"
        f" another account in the secret {_STORE}",
        Cause.BUSY: "wait",
        Cause.MODEL: "correct agent.model, or give the key access to the model",
        Cause.NETWORK: f"let the build reach it: check the network, its proxy variables and the status page of {name}",
    }
    said = f" ({refusal.said})" if refusal.said else ""
    reason, remedy = f"{reasons[refusal.cause]}{said}", f"{remedies[refusal.cause]}; then redrive the execution"
    owner = _owner(agent, refusal)
    if owner is FaultOwner.REPOSITORY:
        chosen = " and ".join(f"agent.{key}" for key in sorted(agent.chosen_by_repository))
        remedy = f"remove {chosen} from the repository's {REPOSITORY_FILE}; or let the operators fix it: {remedy}"
    return BuildStopped(Outcome.AGENT_UNAVAILABLE, reason, remedy, details, owner, retry_after=until)


def _owner(agent: PreparedAgent, refusal: Refusal) -> FaultOwner | None:
    """Return the repository if its own file chose what does not work, so that it cannot stop the whole queue."""
    chosen = agent.chosen_by_repository
    is_its_agent = "name" in chosen and refusal.cause not in (Cause.NETWORK, Cause.BUSY)
    is_its_model = "model" in chosen and refusal.is_about_model
    return FaultOwner.REPOSITORY if is_its_agent or is_its_model else None


def _until(refusal: Refusal, now: float) -> int:
    named = refusal.until or (round(now) + refusal.wait_seconds if refusal.wait_seconds else 0)
    return min(named, round(now) + _LONGEST_WAIT_SECONDS) if named > now else 0
