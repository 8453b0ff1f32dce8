"""The programs that the runner can run as its agent, one module per program.

Every agent may use its tools without asking, because no one is there to answer. The user that an agent runs as and
the files that it gets limit what it can reach, not its own permission prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.runner.agent.adapters.adapter import Adapter, PreparedAgent, Usage
from kiro_worker.runner.agent.adapters.claude import CLAUDE
from kiro_worker.runner.agent.adapters.codex import CODEX
from kiro_worker.runner.agent.adapters.command import command_adapter
from kiro_worker.runner.agent.adapters.gemini import GEMINI
from kiro_worker.runner.agent.adapters.kiro import KIRO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kiro_worker.config.settings import AgentSettings
    from kiro_worker.runner.request import BuildRequest

__all__ = ["ADAPTERS", "KIRO", "Adapter", "PreparedAgent", "Usage", "configured_agent"]

ADAPTERS: Final[Mapping[str, Adapter]] = {adapter.name: adapter for adapter in (KIRO, CLAUDE, CODEX, GEMINI)}


def configured_agent(configuration: AgentSettings, request: BuildRequest, load_key: Callable[[], str]) -> PreparedAgent:
    """Return the agent that the configuration names, with its key.

    ``load_key`` is called only for an agent that needs a key, and its errors are not caught.
    """
    timeout_seconds = configuration.timeout_minutes * 60.0
    adapter = ADAPTERS.get(configuration.name)
    if adapter is None:
        # The configuration's model requires the command for the one name without an adapter.
        return PreparedAgent(command_adapter(configuration.command or (), request), timeout_seconds)
    # Without its key, such a program waits for a person to log in, so a missing key must fail here.
    return PreparedAgent(adapter, timeout_seconds, {adapter.key_variable: load_key()})
