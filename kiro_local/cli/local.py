"""`kiro-worker local …`: the worker on a laptop, without AWS."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import signal
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape

from kiro_local.aws.schedule import seconds_between
from kiro_local.cli.build_lines import show_build_lines
from kiro_local.cli.faults import LATE_SECONDS, FaultOption, step_faults
from kiro_local.demo import demo
from kiro_local.environment import CONFIG_PARAMETER, NAME, GitHubAccess, LocalEnvironment
from kiro_local.github.seed import load
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.cli.runs import show_failure, show_run, show_state
from kiro_worker.config.parameter import parse_configuration
from kiro_worker.executions.history import follow, read_run

if TYPE_CHECKING:
    from types import FrameType

app = typer.Typer(help="The whole deployment on this machine, without AWS.", no_args_is_help=True)

_EXAMPLES = """
Examples:

  kiro-worker local up                              the demo's board, a tick every 5 minutes

  kiro-worker local up --every 0                    no schedule: start executions yourself

  kiro-worker local up --board my-board.yaml --config my-config.json --agent-command 'my-agent --headless'

  kiro-worker local up --fault MarkInReview:answer-lost --fault RunBuild:aborted-during     see it recover

  GITHUB_TOKEN=… kiro-worker local up --config my-config.json --github-api-url https://api.github.com/graphql
    --git-url https://github.com --github-token-env GITHUB_TOKEN --agent-command 'kiro-cli chat --no-interactive'
"""


@app.callback()
def local() -> None:
    """The whole deployment on this machine, without AWS."""


def up(
    port: Annotated[
        int, typer.Option(help="Port of the AWS endpoint on 127.0.0.1; 0 takes a free one.", min=0, max=65535)
    ] = 0,
    config: Annotated[
        Path | None,
        typer.Option(help="The configuration parameter as a JSON file; without it the demo's.", exists=True),
    ] = None,
    board: Annotated[
        Path | None, typer.Option(help="A board of your own for the stand-in GitHub, YAML or JSON.", exists=True)
    ] = None,
    github_api_url: Annotated[str | None, typer.Option(help="A real GitHub's GraphQL address.")] = None,
    git_url: Annotated[str | None, typer.Option(help="The same GitHub's address for git.")] = None,
    github_token_env: Annotated[
        str | None, typer.Option(help="The environment variable that holds the GitHub token.")
    ] = None,
    agent_command: Annotated[
        str | None, typer.Option(help="The agent's command line; it reads the prompt on stdin, in the checkout.")
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(help="Seconds between ticks; 0 is no schedule. Default: as the template says.", min=0),
    ] = None,
    fault: FaultOption = None,
) -> None:
    """Run the worker here, in the foreground, until Ctrl-C."""
    console = Console(highlight=False, soft_wrap=True)
    faults = step_faults(fault)
    stopped = threading.Event()
    _stop_on_signals(stopped)
    with ExitStack() as stack:
        access, configuration = _github(stack, console, board, config, github_api_url, git_url, github_token_env)
        if agent_command:
            configuration = {**configuration, "agent": {"command": shlex.split(agent_command)}}
        parse_configuration(json.dumps(configuration), str(config or CONFIG_PARAMETER))
        environment = LocalEnvironment(
            access,
            configuration,
            port=port,
            agent_key=os.environ.get("KIRO_API_KEY") or "local-agent-key",
            on_build_line=show_build_lines(console),
            faults=faults,
            late_seconds=LATE_SECONDS,
        )
        with console.status("Synthesising the stacks and deploying them into the embedded AWS …"):
            local = stack.enter_context(environment)
        _say_how_to_reach(console, local)
        _tick_until(stopped, console, local, every)
    console.print("Stopped; nothing was left running.")


up.__doc__ = f"{up.__doc__}\n{_EXAMPLES}"
app.command("up")(up)


def _github(
    stack: ExitStack,
    console: Console,
    board: Path | None,
    config: Path | None,
    api_url: str | None,
    git_url: str | None,
    token_env: str | None,
) -> tuple[GitHubAccess, dict[str, Any]]:
    """The real GitHub that the options name, or a stand-in with a board in it."""
    given = {"--github-api-url": api_url, "--git-url": git_url, "--github-token-env": token_env}
    if any(given.values()):
        if missing := [option for option, value in given.items() if not value]:
            raise typer.BadParameter(f"a real GitHub needs {', '.join(missing)} too")
        if config is None:
            raise typer.BadParameter(
                "a real GitHub needs --config: organization, repository, projectNumber, targetStatusColumn"
            )
        assert api_url and git_url and token_env  # noqa: S101, PT018  # checked above
        token = os.environ.get(token_env, "").strip()
        if not token:
            raise typer.BadParameter(f"the environment variable {token_env} is not set or empty")
        return GitHubAccess(api_url, git_url, token), _document(config)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kiro-worker-local-")))
    github = stack.enter_context(StandInGitHub(folder / "github"))
    token = f"ghp_{secrets.token_hex(18)}"
    github.add_token(token, "kiro-worker-bot")
    if board is not None:
        _load(github, board)
    else:
        demo.seed(github.board)
    configuration = _document(config) if config else {**demo.CONFIGURATION, "agent": {"command": demo.agent_command()}}
    console.print(f"Board and pull requests: {github.base_url}")
    return GitHubAccess(github.graphql_url, github.git_url, token), configuration


def _load(github: StandInGitHub, board: Path) -> None:
    try:
        load(github.board, _document(board), base=board.parent, tokens=github.tokens)
    except ValueError as error:
        raise typer.BadParameter(f"{board}: {error}") from None


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} is neither JSON nor YAML: {error}") from None
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{path} must hold an object")
    return document


def _say_how_to_reach(console: Console, local: LocalEnvironment) -> None:
    url = local.aws.endpoint_url
    console.print(
        f"AWS endpoint: [bold]{url}[/bold] (region us-east-1, any credentials), state machine [bold]{NAME}[/bold]\n"
    )
    console.print("From another terminal:\n")
    for command in (
        "export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION=us-east-1",
        f"aws --endpoint-url {url} stepfunctions start-execution --state-machine-arn {local.state_machine_arn}",
        f"aws --endpoint-url {url} stepfunctions list-executions --state-machine-arn {local.state_machine_arn}",
        f"aws --endpoint-url {url} stepfunctions redrive-execution --execution-arn ARN",
    ):
        console.print(f"  {escape(command)}")
    console.print("\nCtrl-C stops everything.\n")


def _tick_until(stopped: threading.Event, console: Console, local: LocalEnvironment, every: float | None) -> None:
    """Tick, show what the execution does, wait; until ``stopped``."""
    if every == 0:
        stopped.wait()
        return
    client = local.client("stepfunctions")
    expression = local.client("scheduler").get_schedule(Name=NAME)["ScheduleExpression"]
    pause = every or seconds_between(expression)
    while not stopped.is_set():
        arn = local.tick()
        console.print(f"[bold]{arn}[/bold]")
        for passed in follow(client, arn):
            show_state(console, passed)
            if stopped.is_set():
                return
        run = read_run(client, arn)
        if run.status != "SUCCEEDED":
            show_failure(console, run)
        show_run(console, run)
        stopped.wait(pause)


def _stop_on_signals(stopped: threading.Event) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
