"""The real agents, installed by the product's own installer from their pinned packages, once per checkout."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from kiro_worker.agent_pin import NPM_PACKAGES
from kiro_worker.config.settings import AgentSettings
from kiro_worker.errors import BuildStopped
from kiro_worker.models import Lease
from kiro_worker.runner.agent.adapters import configured_agent
from kiro_worker.runner.agent.install import install_agent
from kiro_worker.runner.agent.trial import run_trial
from kiro_worker.runner.request import BuildRequest
from kiro_worker.runner.sandbox.sandbox import sandbox

if TYPE_CHECKING:
    from kiro_worker.runner.agent.adapters import PreparedAgent
    from kiro_worker.runner.agent.turn import AgentRun

ROOT: Final = Path(__file__).parents[2]
AGENTS: Final = tuple(NPM_PACKAGES)
KEY: Final = "a-key-of-the-tests"
_CHOOSE_KEY: Final = """mkdir -p "$HOME/.gemini"
echo '{"security":{"auth":{"selectedType":"gemini-api-key"}}}' > "$HOME/.gemini/settings.json"
exec "$@"
"""
_REQUEST: Final = BuildRequest("acme/shop", "feature/x", "0" * 40, ".kiro/specs/x", 1, Lease("k", "o", 1, 0))


def installed(name: str) -> Path:
    """Return the folder that has the agent's program. Skips the test if its package cannot be downloaded."""
    folder = ROOT / "build" / "agents" / f"{name}-{NPM_PACKAGES[name].version}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder.parent))
        partial.chmod(0o755)
        try:
            install_agent(name, {"PATH": system_path()}, partial)
        except BuildStopped as stop:
            shutil.rmtree(partial)
            if "cannot be downloaded" in stop.reason or "needs Node" in stop.reason:
                pytest.skip(stop.reason)
            raise
        for link in filter(Path.is_symlink, partial.iterdir()):
            # The folder gets another name.
            target = link.readlink().relative_to(partial)
            link.unlink()
            link.symlink_to(target)
        try:
            partial.rename(folder)
        except OSError:
            # Another test was faster.
            shutil.rmtree(partial)
    return folder


def system_path() -> str:
    """Return a PATH whose programs every user of the machine can reach."""
    return "/usr/local/bin:/usr/bin:/bin"


def prepared(name: str, url: str, **settings: Any) -> PreparedAgent:
    """Return the agent as a build would prepare it, except that its service is at ``url``."""
    agent = configured_agent(AgentSettings(name=name, **settings), _REQUEST, lambda: KEY)  # type: ignore[arg-type]
    adapter, variables, arguments = agent.adapter, dict(agent.variables), agent.arguments
    match name:
        case "claude":
            variables["ANTHROPIC_BASE_URL"] = url
        case "codex":
            arguments = (*arguments, "-c", f'openai_base_url="{url}/v1"')
        case "gemini":
            # With another address, the CLI has to be told that the variable holds a key.
            adapter = replace(adapter, argv=("sh", "-c", _CHOOSE_KEY, "sh", *adapter.argv))
            variables["GOOGLE_GEMINI_BASE_URL"] = url
    return replace(agent, adapter=adapter, variables=variables, arguments=arguments)


def trial(agent: PreparedAgent, workspace: Path, *, timeout_seconds: float = 90) -> AgentRun:
    """Run a trial turn of the real program as the sandbox's user."""
    path = f"{system_path()}{os.pathsep}{installed(agent.adapter.name)}"
    environment = {"PATH": path}
    with sandbox(environment, workspace, print) as box:
        return run_trial(
            agent,
            workspace,
            parent=environment,
            sink=print,
            redact=str,
            sandbox=box,
            timeout_seconds=timeout_seconds,
        )
