"""The agent: one child process that gets the prompt on its standard input and a folder, and nothing else of ours.

``kiro`` is the Kiro CLI without a terminal. Its harness is named because the default differs between ways to start it
and between versions. It is V2: what a headless run that names none uses, the one whose exit codes and trailer have been
observed, not bound to a recent Linux, and unlike V3 it does not rewrite a workspace's agent files as it starts, which
would end up in the commit. ``command`` is any other program of the same shape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiro_worker.build.outcome import Stopped
from kiro_worker.build.processes import Finished, scrubbed_environment, stream
from kiro_worker.models import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kiro_worker.build.job import BuildJob
    from kiro_worker.config import AgentConfiguration

KIRO: Final = ("kiro-cli", "chat", "--no-interactive", "--v2", "--trust-all-tools")

_INSTALL_KIRO: Final = (
    "set KIRO_CLI_URL and KIRO_CLI_SHA256 of the CodeBuild project: make deploy with --context kiroCliUrl=…"
    " --context kiroCliSha256=…"
)
_TRAILER: Final = re.compile(r"Credits:\s*(?P<credits>\d+(?:\.\d+)?)\s*•\s*Time:\s*(?P<time>[\dhms. ]+)")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([hms])")
_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Agent:
    """An adapter: what is run, with which variables of its own, and how it proves that it worked."""

    name: str
    argv: tuple[str, ...]
    timeout_seconds: float
    own_variables: Mapping[str, str]
    to_install: str
    leaves_trailer: bool


@dataclass(frozen=True)
class AgentRun:
    """``credits`` and ``seconds`` are what the agent's trailer says; ``None`` without one."""

    finished: Finished
    credits: float | None
    seconds: float | None


def configured_agent(configuration: AgentConfiguration, job: BuildJob, load_key: Callable[[], str]) -> Agent:
    """The agent of the configuration. ``load_key`` is called for an agent that has a key, and then its errors pass."""
    timeout_seconds = configuration.timeout_minutes * 60.0
    if configuration.name == "kiro":
        # Without a key the CLI waits for somebody to log in: its absence must show here.
        return Agent("kiro", KIRO, timeout_seconds, {"KIRO_API_KEY": load_key()}, _INSTALL_KIRO, leaves_trailer=True)
    if not configuration.command:
        raise Stopped(Outcome.AGENT_FAILED, 'the configuration has "agent" without a "command"')
    argv = tuple(
        word.replace("{branch}", job.branch).replace("{spec_path}", job.spec_path) for word in configuration.command
    )
    remedy = f"install {argv[0]} in the build image, or correct agent.command in the configuration parameter"
    return Agent(argv[0], argv, timeout_seconds, {}, remedy, leaves_trailer=False)


def run_agent(
    agent: Agent,
    prompt: str,
    folder: Path,
    home: Path,
    *,
    parent: Mapping[str, str],
    sink: Callable[[str], None],
    redact: Callable[[str], str],
) -> AgentRun:
    """Run it to its end in ``folder``. Raises :class:`Stopped` (AgentFailed, AgentTimedOut)."""
    home.mkdir(parents=True, exist_ok=True)
    try:
        finished = stream(
            agent.argv,
            cwd=folder,
            environment=scrubbed_environment(home, parent, **agent.own_variables),
            timeout_seconds=agent.timeout_seconds,
            sink=sink,
            redact=redact,
            stdin=prompt,
        )
    except OSError as error:
        raise Stopped(
            Outcome.AGENT_FAILED, f"{agent.argv[0]} cannot be started: {error.strerror}", agent.to_install
        ) from None
    if finished.timed_out:
        raise Stopped(
            Outcome.AGENT_TIMED_OUT,
            f"{agent.name} was stopped after {agent.timeout_seconds / 60:g} minutes",
            "raise agent.timeoutMinutes in the configuration parameter, or split the spec",
            finished.last_lines(),
        )
    if not finished.succeeded:
        raise Stopped(
            Outcome.AGENT_FAILED, f"{agent.name} ended with {_ending(finished)}", details=finished.last_lines()
        )
    return AgentRun(finished, *_spent(finished.lines))


def nothing_changed(agent: Agent, run: AgentRun) -> Stopped:
    """The reason why there is nothing to commit: an exit code of 0 alone proves nothing."""
    if agent.leaves_trailer and run.credits is None:
        return Stopped(
            Outcome.AGENT_FAILED,
            f"{agent.name} ended without an error, without its closing line and without a change: it did not work at"
            " all, which is what a rejected API key looks like",
            "put a valid key into the secret kiro-worker-<env>-kiro-api-key",
            run.finished.last_lines(),
        )
    return Stopped(
        Outcome.NO_CHANGES,
        f"{agent.name} changed nothing",
        "make the open tasks of the spec more definite, or tick them if they are done",
        run.finished.last_lines(),
    )


def _ending(finished: Finished) -> str:
    return f"exit code {finished.exit_code}" if finished.exit_code >= 0 else f"signal {-finished.exit_code}"


def _spent(lines: tuple[str, ...]) -> tuple[float | None, float | None]:
    """Credits and seconds of every turn's trailer together: ``▸ Credits: 0.01 • Time: 1m 5s``."""
    trailers = [match for line in lines if (match := _TRAILER.search(line))]
    if not trailers:
        return None, None
    credits_spent = sum(float(trailer["credits"]) for trailer in trailers)
    seconds = sum(
        float(number) * _SECONDS[unit] for trailer in trailers for number, unit in _DURATION.findall(trailer["time"])
    )
    return round(credits_spent, 6), seconds
