"""One turn of the agent: a child process that gets a prompt, a folder, a home and its own key, and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.agent.last_words import last_words
from kiro_worker.runner.agent.own_environment import without
from kiro_worker.runner.agent.unavailable import unavailable
from kiro_worker.runner.gate.setup import active_environment, installed_programs
from kiro_worker.runner.sandbox.environment import scrubbed_environment
from kiro_worker.runner.sandbox.processes import Finished, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from kiro_worker.runner.agent.adapters import PreparedAgent, Usage
    from kiro_worker.runner.sandbox.sandbox import Sandbox

_READ_LOG: Final = "read agent.log in the artifacts for the cause, then redrive the execution"


@dataclass(frozen=True)
class AgentRun:
    """How a turn ended.

    ``cost`` is in the agent's own unit, ``None`` if the agent did not report it; ``seconds`` is what the agent
    reported, or else what the runner measured. ``problem`` is the reason why the turn does not count as work, ``None``
    if it ended well. ``refused`` is the reason if the agent's service refused the turn, which counts only if the turn
    changed nothing. ``said`` is what the agent said last.
    """

    finished: Finished
    cost: float | None
    seconds: float
    problem: BuildStopped | None
    refused: BuildStopped | None = None
    said: str = ""


def run_agent(
    agent: PreparedAgent,
    prompt: str,
    folder: Path,
    home: Path,
    *,
    parent: Mapping[str, str],
    sink: Callable[[str], None],
    redact: Callable[[str], str],
    sandbox: Sandbox,
    temporary: Path | None = None,
    virtual_environments: Sequence[Path] = (),
) -> AgentRun:
    """Run one turn in ``folder`` and wait until it ends. ``temporary`` is the agent's folder for temporary files.

    The agent finds the programs of the virtual environments in the folders ``virtual_environments``, as the tests do.

    Raises :class:`BuildStopped` (AgentUnavailable) when the program cannot be started.
    """
    adapter = agent.adapter
    private = [home, *([temporary] if temporary else [])]
    additions = {"TMPDIR": str(temporary)} if temporary else {}
    for path in virtual_environments[:1]:
        additions |= active_environment(path)
    programs = installed_programs(home, *virtual_environments)
    # The agent itself is never a program that setup installed, even if that has the same name.
    program = shutil.which(agent.argv[0], path=parent.get("PATH")) or agent.argv[0]
    parent = without(parent, agent.withheld)
    if agent.withheld:
        names = ", ".join(sorted(agent.withheld))
        sink(f"the agent does not get {names} of {REPOSITORY_FILE}: only the installation can choose them for it")
    sandbox.grant(folder, *private)
    try:
        finished = stream(
            (program, *agent.argv[1:]),
            cwd=folder,
            environment=scrubbed_environment(home, parent, programs, **additions, **agent.variables),
            timeout_seconds=agent.timeout_seconds,
            sink=sink,
            redact=redact,
            stdin=prompt,
            sandbox=sandbox,
        )
    except OSError as error:
        raise BuildStopped(
            Outcome.AGENT_UNAVAILABLE, f"{agent.argv[0]} cannot be started: {error.strerror}", adapter.how_to_install
        ) from None
    finally:
        sandbox.reclaim(folder, *private)
    usage = adapter.read_usage(finished.lines)
    seconds = usage.seconds or round(finished.seconds, 1)
    said = last_words(adapter.read_words(finished.lines), redact)
    return AgentRun(finished, usage.cost, seconds, _problem(agent, finished, usage), _refused(agent, finished), said)


def _problem(agent: PreparedAgent, finished: Finished, usage: Usage) -> BuildStopped | None:
    """Return why the turn does not count as work. An exit code of 0 alone proves nothing."""
    adapter = agent.adapter
    if finished.timed_out:
        return BuildStopped(
            Outcome.AGENT_TIMED_OUT,
            f"{adapter.name} was stopped after {agent.timeout_seconds / 60:g} minutes",
            "raise agent.timeoutMinutes in the configuration parameter, or split the task",
            finished.last_lines(),
        )
    if not finished.succeeded:
        return BuildStopped(
            Outcome.AGENT_FAILED,
            f"{adapter.name} ended with {_exit_status(finished)}",
            _READ_LOG,
            finished.last_lines(),
        )
    if usage.failed:
        return BuildStopped(
            Outcome.AGENT_FAILED, f"{adapter.name} reported that its turn failed", _READ_LOG, finished.last_lines()
        )
    if adapter.always_reports_cost and usage.cost is None:
        return BuildStopped(
            Outcome.AGENT_FAILED,
            f"{adapter.name} ended with exit code 0 but did not print its closing line",
            _READ_LOG,
            finished.last_lines(),
        )
    return None


def _refused(agent: PreparedAgent, finished: Finished) -> BuildStopped | None:
    """Return the stop for a turn that the agent's service refused. A program that was killed proves nothing."""
    refusal = None if finished.timed_out or finished.exit_code < 0 else agent.adapter.read_refusal(finished.lines)
    return unavailable(agent, refusal, finished.last_lines()) if refusal else None


def _exit_status(finished: Finished) -> str:
    return f"exit code {finished.exit_code}" if finished.exit_code >= 0 else f"signal {-finished.exit_code}"
