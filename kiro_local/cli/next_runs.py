"""Shows the runs that a run started on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

if TYPE_CHECKING:
    from rich.console import Console

    from kiro_worker.executions.history import Run


def show_next_run(console: Console, arn: str = "") -> None:
    """Print the heading of a run that another run started, before its states."""
    console.print(f"\n[bold]The next run[/bold], which that run started {escape(arn)}".rstrip())


def show_quiet_run(console: Console, run: Run) -> None:
    """Print one line for a run that another run started, and that took no card."""
    found = "found no other card" if run.outcome == "NothingToDo" else f"ended as {escape(run.outcome)}"
    console.print(f"  The run started the next one, which {found}.")
