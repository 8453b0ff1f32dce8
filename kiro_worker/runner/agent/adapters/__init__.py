"""The programs that the runner can run as its agent, one module per program.

Every agent may use its tools without asking, because no one is there to answer. The user that an agent runs as and
the files that it gets limit what it can reach, not its own permission prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.runner.agent.adapters.adapter import Adapter, PreparedAgent, Usage
from kiro_worker.runner.agent.adapters.claude import CLAUDE
from kiro_worker.runner.agent.adapters.codex import CODEX
from kiro_worker.runner.agent.adapters.command import command_adapter
from kiro_worker.runner.agent.adapters.gemini import GEMINI
from kiro_worker.runner.agent.adapters.kiro import KIRO, kiro_harness
from kiro_worker.runner.agent.own_environment import withheld_from_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kiro_worker.config.settings import AgentSettings
    from kiro_worker.runner.request import BuildRequest

__all__ = ["ADAPTERS", "KIRO", "Adapter", "PreparedAgent", "Usage", "configured_agent"]

ADAPTERS: Final[Mapping[str, Adapter]] = {adapter.name: adapter for adapter in (KIRO, CLAUDE, CODEX, GEMINI)}


def configured_agent(
    settings: AgentSettings,
    request: BuildRequest,
    load_key: Callable[[], str],
    origins: Mapping[str, str] | None = None,
) -> PreparedAgent:
    """Return the agent that the settings name, with its command line and its key.

    ``load_key`` is called only for an agent that needs a key, and its errors are not caught. ``origins`` says where the
    settings come from: see :class:`~kiro_worker.config.settings.Settings`.
    """
    adapter = ADAPTERS.get(settings.name) or command_adapter(settings, request)
    # Without its key, such a program waits for a person to log in, so a missing key must fail here.
    variables = {adapter.key_variable: load_key()} if settings.needs_key else {}
    own = [key for key in ("name", "model") if (origins or {}).get(f"agent.{key}") == REPOSITORY_FILE]
    withheld = withheld_from_agent(origins or {})
    return PreparedAgent(
        adapter, settings.timeout_minutes * 60.0, variables, _arguments(settings), frozenset(own), withheld
    )


def _arguments(settings: AgentSettings) -> tuple[str, ...]:
    if settings.name == "command":
        return ()
    harness = kiro_harness(settings.harness) if settings.is_kiro else ()
    model = ("--model", settings.model) if settings.model else ()
    return (*harness, *model, *settings.arguments)
