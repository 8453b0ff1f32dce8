"""`kiro-worker demo`: the product's main job, on this machine, before your eyes."""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table

from kiro_local.aws.step_fault import StepFault
from kiro_local.cli.build_lines import show_build_lines
from kiro_local.cli.faults import LATE_SECONDS, FaultOption, step_faults
from kiro_local.demo.demo import CONFIGURATION, READY, Demo, agent_command, seed
from kiro_local.environment import GitHubAccess, LocalEnvironment
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.cli.runs import show_failure, show_run, show_state
from kiro_worker.executions.history import StateEntered

_EXAMPLES = """
Examples:

  kiro-worker demo                  watch a card become pushed code

  kiro-worker demo --fail-build     see a build fail, the execution redriven, and succeed

  kiro-worker demo --fault MarkInReview:killed    see what becomes of a run of which that step is killed

  kiro-worker demo --json           one JSON object instead, for scripts
"""


def demo(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the story.")] = False,
    fail_build: Annotated[
        bool, typer.Option("--fail-build", help="Let the first build fail, then redrive the execution.")
    ] = False,
    fault: FaultOption = None,
) -> None:
    """Run the whole worker on this machine: a board, its cards, the real state machine, Lambdas and build. Nothing
    leaves the machine.
    """
    console = Console(stderr=as_json, quiet=as_json, highlight=False, soft_wrap=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kiro-worker-demo-") as folder:
        result = _play(console, Path(folder), fail_build, step_faults(fault), began)
    if as_json:
        typer.echo(json.dumps(result, indent=2))
    if result["lock"]["held"] or any(run["status"] != "SUCCEEDED" for run in result["runs"]):
        raise typer.Exit(1)


demo.__doc__ = f"{demo.__doc__}\n{_EXAMPLES}"


def _play(console: Console, folder: Path, fail_build: bool, faults: list[StepFault], began: float) -> dict[str, Any]:
    console.print(
        Panel(
            "The whole worker on this machine: AWS's own template, state machine, Lambda processes and build, in an\n"
            "embedded AWS; a project board and git over HTTP, in a stand-in for GitHub. The agent is a [bold]scripted\n"
            "stand-in[/bold] that really edits files; on AWS it is the Kiro CLI. No account is used and nothing\n"
            "leaves this machine.",
            title="kiro-worker demo",
            expand=False,
        )
    )
    with StandInGitHub(folder / "github") as github:
        seed(github.board)
        token = f"ghp_{secrets.token_hex(18)}"
        github.add_token(token, "kiro-worker-bot")
        # The agent may be run as a user of its own, and leaves its mark that it has failed once.
        marks = folder / "marks"
        marks.mkdir()
        marks.chmod(0o777)
        folder.chmod(0o711)
        agent = agent_command(marks if fail_build else None)
        configuration = {**CONFIGURATION, "agent": {"command": agent}}
        with console.status("Synthesising the stacks and deploying them into the embedded AWS …"):
            local = LocalEnvironment(
                GitHubAccess(github.graphql_url, github.git_url, token),
                configuration,
                on_build_line=show_build_lines(console),
                faults=faults,
                late_seconds=LATE_SECONDS,
            )
            local.__enter__()
        try:
            console.print(f"Deployed in {time.monotonic() - began:.1f} s. The board:\n")
            game = Demo(github.board, local, lambda: (len(github.requests.graphql()), github.requests.points))
            console.print(_board(game.cards_before))
            _tell(console, game)
            seconds = time.monotonic() - began
            _sum_up(console, game, seconds)
            return game.to_dict(seconds)
        finally:
            local.__exit__(None, None, None)


def _tell(console: Console, game: Demo) -> None:
    number = 0
    for kind, what in game.play():
        if isinstance(what, StateEntered):
            if what.name == "FetchWorkItem" and what.document.get("skipped") is None and "item" not in what.document:
                number += 1
                console.print(f"\n[bold]Tick {number} of the schedule[/bold]")
            show_state(console, what)
        elif kind == "failed":
            show_failure(console, what)
            console.print("  [bold]redriven[/bold] through the RedriveExecution API: the same execution goes on")
        else:
            show_run(console, what, game.graphql[-1])


def _sum_up(console: Console, game: Demo, seconds: float) -> None:
    result = game.to_dict(seconds)
    console.print("\n[bold]What happened to each card[/bold]")
    console.print(_board_afterwards(result["cards"]))
    if diff := game.diff():
        console.print(f"[bold]What was pushed to {READY}[/bold]")
        console.print(Syntax(diff, "diff", background_color="default", word_wrap=True))
    if tests := game.tests():
        console.print("[bold]The tests that ran[/bold]")
        console.print(Panel(escape(tests.strip()), expand=False), soft_wrap=False)
    for subject, bodies in game.comments().items():
        for body in bodies:
            console.print(f"[bold]The comment on {escape(subject)}[/bold]")
            console.print(Panel(escape(body.partition("-->")[2].strip()), expand=False), soft_wrap=False)
    held = "held" if result["lock"]["held"] else "free"
    transitions = sum(run.transitions for run in game.runs)
    console.print(
        f"The lock is [bold]{held}[/bold]. {len(game.runs)} executions, {transitions} state transitions,"
        f" {sum(points for _, points in game.graphql)} GitHub points, {seconds:.1f} s."
    )


def _board(cards: dict[str, str | None]) -> Table:
    table = Table("Card", "Column")
    for title, column in cards.items():
        table.add_row(title, column or "")
    return table


def _board_afterwards(cards: dict[str, dict[str, Any]]) -> Table:
    table = Table("Card", "Was in", "Is in", "Why")
    for title, card in cards.items():
        moved = card["after"] != card["before"]
        why = "\n".join(card["reasons"]) or ("implemented, tested and pushed" if moved else "not asked for")
        table.add_row(title, card["before"], f"[bold]{card['after']}[/bold]" if moved else card["after"], escape(why))
    return table
