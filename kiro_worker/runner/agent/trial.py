"""The trial turn: a short first turn that proves key, plan, model and network before the agent receives the spec.

It runs in an empty folder with a prompt of the worker's own, so nothing of the card can make it fail. Whatever makes it
fail would make every turn fail, and would have cost more than these few words.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.agent.turn import run_agent
from kiro_worker.runner.agent.unavailable import unavailable
from kiro_worker.runner.sandbox.untrusted_files import remove_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kiro_worker.runner.agent.adapters import PreparedAgent
    from kiro_worker.runner.agent.turn import AgentRun
    from kiro_worker.runner.sandbox.sandbox import Sandbox

TRIAL_PROMPT: Final = "Reply with OK. Use no tool, and do not read or write any file.\n"
TRIAL_SECONDS: Final = 120.0
"""Long enough for a slow answer. Codex and Gemini wait for a missing network until they are stopped."""


def run_trial(
    agent: PreparedAgent,
    workspace: Path,
    *,
    parent: Mapping[str, str],
    sink: Callable[[str], None],
    redact: Callable[[str], str],
    sandbox: Sandbox,
    timeout_seconds: float = TRIAL_SECONDS,
) -> AgentRun:
    """Return how a trial turn ended, whose folders are in ``workspace`` for as long as it takes."""
    adapter = agent.adapter
    trial = replace(
        agent,
        arguments=(*agent.arguments, *adapter.trial_arguments),
        variables={**agent.variables, **adapter.trial_variables},
        # Not the limit of a task's turn, which a repository may have made too short for any answer.
        timeout_seconds=timeout_seconds,
    )
    with _folders(workspace) as (folder, home, temporary):
        return run_agent(
            trial,
            TRIAL_PROMPT,
            folder,
            home,
            parent=parent,
            sink=sink,
            redact=redact,
            sandbox=sandbox,
            temporary=temporary,
        )


def require_working(agent: PreparedAgent, trial: AgentRun) -> None:
    """Raise :class:`BuildStopped` (AgentUnavailable) unless the trial turn ended well.

    A turn that was stopped counts, too, because an agent can repeat a refused request until then.
    """
    if trial.problem is None:
        return
    details = trial.finished.last_lines()
    if refusal := agent.adapter.read_refusal(trial.finished.lines):
        raise unavailable(agent, refusal, details)
    raise BuildStopped(
        Outcome.AGENT_UNAVAILABLE,
        f"{agent.adapter.name} cannot complete a short turn, which it gets before the spec: {trial.problem.reason}",
        "read agent.log in the artifacts for the cause: the key, the model, the arguments or the network; fix it, then"
        " redrive the execution",
        details,
        FaultOwner.REPOSITORY if agent.chosen_by_repository else None,
    )


@contextmanager
def _folders(workspace: Path) -> Iterator[tuple[Path, Path, Path]]:
    """Yield an empty folder, a home and a folder for temporary files, and remove them afterwards."""
    top = Path(tempfile.mkdtemp(prefix="trial-", dir=workspace))
    # Others can pass through, as in the workspace. The sandbox opens the folders for the agent's user.
    top.chmod(0o711)
    try:
        yield top / "checkout", top / "home", top / "tmp"
    finally:
        remove_tree(top)
