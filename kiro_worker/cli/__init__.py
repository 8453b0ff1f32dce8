"""`kiro-worker …`: one module a command. This is the one place that turns an error into an exit code.

Exit codes: 0 done, 1 something failed and says what, 2 the command line was wrong, 130 interrupted.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from kiro_worker.cli import demo, local
from kiro_worker.errors import KiroWorkerError
from kiro_worker.local.assembly import SynthFailed
from kiro_worker.local.aws.deploy import DeploymentFailed

app = typer.Typer(
    name="kiro-worker",
    help="A card moved to “For Implementation” becomes tested, pushed code on its pull request.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("demo")(demo.demo)
app.add_typer(local.app, name="local")


def main() -> None:
    """The entry point of the `kiro-worker` script."""
    try:
        app()
    except (KiroWorkerError, SynthFailed, DeploymentFailed, OSError) as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}[/red]:", str(error), markup=True, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
