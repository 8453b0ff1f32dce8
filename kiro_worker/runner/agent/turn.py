"""One turn of the agent: a child process that gets the prompt on its standard input and a folder, and nothing else of
ours; and what its end proves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.sandbox.processes import Finished, scrubbed_environment, stream
from kiro_worker.runner.sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kiro_worker.runner.agent.adapters import Agent


@dataclass(frozen=True)
class AgentRun:
    """A turn. ``credits`` is what the agent says it cost, in its own unit, ``None`` when it does not say; ``seconds``
    what it says or else what it took. ``problem`` is why the turn proves nothing, ``None`` when it ended well.
    """

    finished: Finished
    credits: float | None
    seconds: float
    problem: BuildStopped | None


def run_agent(
    agent: Agent,
    prompt: str,
    folder: Path,
    home: Path,
    *,
    parent: Mapping[str, str],
    sink: Callable[[str], None],
    redact: Callable[[str], str],
    sandbox: Sandbox | None = None,
) -> AgentRun:
    """Run it to its end in ``folder``. Raises :class:`BuildStopped` (AgentFailed) when it cannot be started."""
    sandbox = sandbox or Sandbox()
    sandbox.grant(folder, home)
    try:
        finished = stream(
            agent.argv,
            cwd=folder,
            environment=scrubbed_environment(home, parent, **agent.own_variables),
            timeout_seconds=agent.timeout_seconds,
            sink=sink,
            redact=redact,
            stdin=prompt,
            sandbox=sandbox,
        )
    except OSError as error:
        raise BuildStopped(
            Outcome.AGENT_FAILED, f"{agent.argv[0]} cannot be started: {error.strerror}", agent.to_install
        ) from None
    finally:
        sandbox.reclaim(folder, home)
    spent = agent.read(finished.lines)
    problem = _problem(agent, finished, says_failed=spent.failed, says_cost=spent.credits is not None)
    return AgentRun(finished, spent.credits, spent.seconds or round(finished.seconds, 1), problem)


def _problem(agent: Agent, finished: Finished, *, says_failed: bool, says_cost: bool) -> BuildStopped | None:
    """Why a turn is none, by all the evidence there is: an exit code of 0 alone proves nothing."""
    if finished.timed_out:
        return BuildStopped(
            Outcome.AGENT_TIMED_OUT,
            f"{agent.name} was stopped after {agent.timeout_seconds / 60:g} minutes",
            "raise agent.timeoutMinutes in the configuration parameter, or split the task",
            finished.last_lines(),
        )
    if not finished.succeeded:
        return BuildStopped(
            Outcome.AGENT_FAILED, f"{agent.name} ended with {_ending(finished)}", details=finished.last_lines()
        )
    if says_failed:
        return BuildStopped(
            Outcome.AGENT_FAILED, f"{agent.name} says that its turn failed", details=finished.last_lines()
        )
    if agent.leaves_trailer and not says_cost:
        return BuildStopped(
            Outcome.AGENT_FAILED,
            f"{agent.name} ended without an error and without its closing line, which is what a rejected API key looks"
            " like",
            "put a valid key into the secret kiro-worker-<env>-kiro-api-key",
            finished.last_lines(),
        )
    return None


def _ending(finished: Finished) -> str:
    return f"exit code {finished.exit_code}" if finished.exit_code >= 0 else f"signal {-finished.exit_code}"
