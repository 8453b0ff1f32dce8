"""`kiro-worker demo`: watch a card become pushed code, on this machine."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table

from kiro_local.aws.step_fault import StepFault
from kiro_local.cli.build_lines import show_build_lines
from kiro_local.cli.faults import LATE_SECONDS, FaultOption, step_faults
from kiro_local.cli.next_runs import show_next_run, show_quiet_run
from kiro_local.cli.stand_in import start_stand_in
from kiro_local.demo.board import READY_BRANCH, seed_board
from kiro_local.demo.configuration import agent_command, demo_configuration
from kiro_local.demo.session import DemoSession, RunEnded, RunFailed, RunRedriven, TickStarted, Usage
from kiro_local.environment import LocalEnvironment
from kiro_local.next_runs import NextRunStarted
from kiro_worker.cli.runs import show_failure, show_run, show_state
from kiro_worker.executions.history import StateEntered

_EXAMPLES: Final = """
Examples:

  kiro-worker demo                  watch a card become pushed code

  kiro-worker demo --fail-build     watch a build fail, and succeed when the execution is redriven

  kiro-worker demo --fault MarkInReview:killed    watch a run recover after the process of a step is killed

  kiro-worker demo --json           print one JSON object, for scripts
"""
_INTRODUCTION: Final = """\
This demo runs the whole worker on this machine. An embedded AWS runs the
CloudFormation template, the state machine, the Lambda functions and the
build. A stand-in GitHub has the project board and the git repositories.
The agent is a [bold]scripted stand-in[/bold] that really edits files; on AWS it is the
Kiro CLI. The demo uses no account, and nothing leaves this machine."""


def demo(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of showing the run.")] = False,
    fail_build: Annotated[
        bool, typer.Option("--fail-build", help="Make the first build fail, then redrive the execution.")
    ] = False,
    fault: FaultOption = None,
) -> None:
    """Run the whole worker on this machine, on a demo board. Nothing leaves the machine."""
    console = Console(stderr=as_json, quiet=as_json, highlight=False, soft_wrap=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kiro-worker-demo-") as folder:
        result = _run_demo(console, Path(folder), fail_build, step_faults(fault), start)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    if result["lock"]["held"] or any(run["status"] != "SUCCEEDED" for run in result["runs"]):
        raise typer.Exit(1)


demo.__doc__ = f"{demo.__doc__}\n{_EXAMPLES}"


def _run_demo(
    console: Console, folder: Path, fail_build: bool, faults: list[StepFault], start: float
) -> dict[str, Any]:
    """Deploy, run and show the demo, and return the object for `--json`."""
    console.print(Panel(_INTRODUCTION, title="kiro-worker demo", expand=False))
    with ExitStack() as stack:
        github, access = start_stand_in(stack, folder / "github")
        seed_board(github.board)
        agent = agent_command(_marker(folder) if fail_build else None)
        usage = Usage(lambda: (len(github.requests.graphql()), github.requests.points))
        with console.status("Synthesizing the stacks and deploying them to the embedded AWS …"):
            local = stack.enter_context(
                LocalEnvironment(
                    access,
                    demo_configuration(agent),
                    on_build_line=show_build_lines(console),
                    on_history_event=usage.on_history_event,
                    faults=faults,
                    late_seconds=LATE_SECONDS,
                )
            )
        console.print(f"Deployed in {time.monotonic() - start:.1f} s. The board:\n")
        session = DemoSession(github.board, local, usage)
        console.print(_board_table(session.cards_before))
        _show_events(console, session)
        seconds = time.monotonic() - start
        result = session.to_dict(seconds)
        _show_summary(console, session, result, seconds)
        return result


def _marker(folder: Path) -> Path:
    """Create the empty file in which the agent notes that it has failed.

    The agent cannot create it: a build removes every file of its user, and the next build on this machine, of whatever
    deployment, can have the same user.
    """
    marker = folder / "the-agent-has-failed"
    marker.touch()
    marker.chmod(0o666)
    folder.chmod(0o711)
    return marker


def _show_events(console: Console, session: DemoSession) -> None:
    for event in session.play():
        match event:
            case TickStarted(number):
                console.print(f"\n[bold]Tick {number} of the schedule[/bold]")
            case NextRunStarted():
                show_next_run(console)
            case StateEntered():
                show_state(console, event)
            case RunFailed(run):
                show_failure(console, run)
            case RunRedriven():
                console.print("\n[bold]Redrive of the failed run[/bold]: the same execution continues")
            case RunEnded(run, usage, quiet):
                if quiet:
                    show_quiet_run(console, run)
                else:
                    show_run(console, run, usage)


def _show_summary(console: Console, session: DemoSession, result: dict[str, Any], seconds: float) -> None:
    console.print("\n[bold]What happened to each card[/bold]")
    console.print(_result_table(result["cards"]))
    if diff := session.diff():
        console.print(f"[bold]Pushed to {READY_BRANCH}[/bold]")
        console.print(Syntax(diff, "diff", background_color="default", word_wrap=True))
    if log := session.test_log():
        console.print("[bold]The test log[/bold]")
        console.print(Panel(escape(log.strip()), expand=False), soft_wrap=False)
    for subject, bodies in session.comments().items():
        for body in bodies:
            console.print(f"[bold]The comment on {escape(subject)}[/bold]")
            console.print(Panel(escape(body.partition("-->")[2].strip()), expand=False), soft_wrap=False)
    lock = "held" if result["lock"]["held"] else "free"
    transitions = sum(run["stateTransitions"] for run in result["runs"])
    points = sum(run["graphqlPoints"] for run in result["runs"])
    console.print(
        f"The lock is [bold]{lock}[/bold]. {len(result['runs'])} executions, {transitions} state transitions,"
        f" {points} GitHub points, {seconds:.1f} s."
    )


def _board_table(cards: dict[str, str | None]) -> Table:
    table = Table("Card", "Status")
    for title, status in cards.items():
        table.add_row(title, status or "")
    return table


def _result_table(cards: dict[str, dict[str, Any]]) -> Table:
    table = Table("Card", "Before", "After", "Reason")
    for title, card in cards.items():
        moved = card["after"] != card["before"]
        reason = "\n".join(card["reasons"]) or (
            "implemented, tested and pushed" if moved else "not in For Implementation"
        )
        after = f"[bold]{card['after']}[/bold]" if moved else card["after"]
        table.add_row(title, card["before"], after, escape(reason))
    return table
