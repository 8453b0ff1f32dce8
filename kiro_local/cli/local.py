"""`kiro-worker local …`: the worker on one machine, without AWS."""

from __future__ import annotations

import json
import os
import shlex
import signal
import tempfile
import threading
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
import yaml
from rich.console import Console
from rich.markup import escape

from kiro_local.aws.schedule import seconds_between
from kiro_local.cli.build_lines import show_build_lines
from kiro_local.cli.faults import LATE_SECONDS, FaultOption, step_faults
from kiro_local.cli.fixes import AGENT_KEY_VARIABLE, fix_on_this_machine
from kiro_local.cli.next_runs import show_next_run, show_quiet_run
from kiro_local.cli.real_github import real_github
from kiro_local.cli.stand_in import start_stand_in
from kiro_local.cli.up_options import (
    AgentCommandOption,
    BoardOption,
    ConfigOption,
    EveryOption,
    GitHubApiUrlOption,
    GitHubTokenEnvOption,
    GitUrlOption,
    PortOption,
)
from kiro_local.demo.board import seed_board
from kiro_local.demo.configuration import agent_command, demo_configuration
from kiro_local.environment import NAME, GitHubAccess, LocalEnvironment
from kiro_local.github.seed import load
from kiro_local.next_runs import NextRunEnded, NextRunStarted, follow_next_runs
from kiro_worker.cli.runs import show_failure, show_run, show_state
from kiro_worker.config.parameter import parse_configuration_file
from kiro_worker.executions.follow import follow
from kiro_worker.executions.history import read_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from kiro_worker.executions.history import Run

app = typer.Typer(help="The whole deployment on this machine, without AWS.", no_args_is_help=True)

_EXAMPLES: Final = """
Examples:

  kiro-worker local up                              the demo's board, a tick every 5 minutes

  kiro-worker local up --every 0                    no schedule: start executions yourself

  kiro-worker local up --board my-board.yaml --config my-config.json --agent-command 'my-agent --headless'

  kiro-worker local up --fault MarkInReview:answer-lost --fault RunBuild:aborted-during     watch it recover

  GITHUB_TOKEN=… KIRO_API_KEY=… kiro-worker local up --config my-config.json --github-token-env GITHUB_TOKEN
    --github-api-url https://api.github.com/graphql --git-url https://github.com

Board file: kiro_local/github/seed_document.py documents its format, with an example.
"""


@app.callback()
def local() -> None:
    """The whole deployment on this machine, without AWS."""


def up(
    port: PortOption = 0,
    config: ConfigOption = None,
    board: BoardOption = None,
    github_api_url: GitHubApiUrlOption = None,
    git_url: GitUrlOption = None,
    github_token_env: GitHubTokenEnvOption = None,
    agent: AgentCommandOption = None,
    every: EveryOption = None,
    fault: FaultOption = None,
) -> None:
    """Run the worker on this machine, in the foreground, until Ctrl-C."""
    console = Console(highlight=False, soft_wrap=True)
    faults = step_faults(fault)
    stopped = _event_set_by_signals()
    real = real_github(github_api_url, git_url, github_token_env, config)
    configuration = _configuration(config, agent)
    fix = partial(fix_on_this_machine, config=config, token_variable=github_token_env)
    with ExitStack() as stack:
        environment = LocalEnvironment(
            real or _start_stand_in(stack, console, board),
            configuration,
            port=port,
            # Without a key, an agent that needs one fails with SecretPlaceholder before its first turn.
            agent_key=os.environ.get(AGENT_KEY_VARIABLE) or "placeholder",
            on_build_line=show_build_lines(console),
            faults=faults,
            late_seconds=LATE_SECONDS,
        )
        with console.status("Synthesizing the stacks and deploying them to the embedded AWS …"):
            deployed = stack.enter_context(environment)
        _show_access(console, deployed)
        _tick_until(stopped, console, deployed, every, fix)
    console.print("Stopped; nothing is left running.")


up.__doc__ = f"{up.__doc__}\n{_EXAMPLES}"
app.command("up")(up)


def _configuration(config: Path | None, agent: str | None) -> dict[str, Any]:
    """The configuration of the file, or the demo's, with the agent of the command line."""
    configuration = _read(config) if config else demo_configuration(agent_command())
    if config:
        parse_configuration_file(json.dumps(configuration, default=str), config)
    if agent is not None:
        defaults = configuration.get("repositoryDefaults") or {}
        configuration["repositoryDefaults"] = {**defaults, "agent": {"command": _words(agent)}}
    return configuration


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise typer.BadParameter(f"--agent-command: {error}: {command}") from None
    if not words:
        raise typer.BadParameter("--agent-command is empty")
    return words


def _start_stand_in(stack: ExitStack, console: Console, board: Path | None) -> GitHubAccess:
    """A stand-in GitHub with the board of the file, or the demo's."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kiro-worker-local-")))
    github, access = start_stand_in(stack, folder / "github")
    if board is None:
        seed_board(github.board)
    else:
        try:
            load(github.board, _read(board), base=board.parent, tokens=github.tokens)
        except ValueError as error:
            raise typer.BadParameter(f"{board}: {error}") from None
    console.print(f"Board and pull requests: {github.base_url}")
    return access


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} is neither JSON nor YAML: {error}") from None
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{path} must contain an object")
    return document


def _show_access(console: Console, deployed: LocalEnvironment) -> None:
    url, arn = deployed.aws.endpoint_url, deployed.state_machine_arn
    console.print(
        f"AWS endpoint: [bold]{url}[/bold] (region us-east-1, any credentials), state machine [bold]{NAME}[/bold]\n"
    )
    console.print("From another terminal:\n")
    for command in (
        "export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION=us-east-1",
        f"aws --endpoint-url {url} stepfunctions start-execution --state-machine-arn {arn}",
        f"aws --endpoint-url {url} stepfunctions list-executions --state-machine-arn {arn}",
        f"kiro-worker redrive ARN --endpoint-url {url}",
        f"kiro-worker replay ARN --endpoint-url {url}",
    ):
        console.print(f"  {escape(command)}")
    console.print("\nPress Ctrl-C to stop everything.\n")


def _tick_until(
    stopped: threading.Event,
    console: Console,
    deployed: LocalEnvironment,
    every: float | None,
    fix: Callable[[Run], str],
) -> None:
    """Tick and show each execution, until ``stopped`` is set. ``fix`` is how to fix a failure on this machine."""
    if every == 0:
        stopped.wait()
        return
    client = deployed.client("stepfunctions")
    expression = deployed.client("scheduler").get_schedule(Name=NAME)["ScheduleExpression"]
    pause = every or seconds_between(expression)
    while not stopped.is_set():
        arn = deployed.tick()
        console.print(f"[bold]{arn}[/bold]")
        for state in follow(client, arn):
            show_state(console, state)
            if stopped.is_set():
                return
        _show_end(console, read_run(client, arn), fix)
        for event in follow_next_runs(client, arn, set()):
            match event:
                case NextRunStarted(next_arn):
                    show_next_run(console, next_arn)
                case NextRunEnded(run, quiet):
                    show_quiet_run(console, run) if quiet else _show_end(console, run, fix)
                case _:
                    show_state(console, event)
            if stopped.is_set():
                return
        stopped.wait(pause)


def _show_end(console: Console, run: Run, fix: Callable[[Run], str]) -> None:
    if run.status != "SUCCEEDED":
        show_failure(console, run)
        if text := fix(run):
            console.print(f"  How to fix on this machine: {escape(text)}")
    show_run(console, run)


def _event_set_by_signals() -> threading.Event:
    """An event that SIGINT and SIGTERM set."""
    event = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        event.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    return event
