"""The `kiro-worker` application: its own commands, and the commands that other installed packages add."""

from __future__ import annotations

from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kiro_worker.cli import config, queue, replay
from kiro_worker.cli.extra import LOCAL_EXTRA, ExtraMissing

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

DISTRIBUTION: Final = "kiro-codebuild-worker"
COMMANDS: Final = "kiro_worker.commands"
"""The entry-point group for further commands.

Each entry point is a function that takes the application and adds one command with the entry point's name. It imports
what the command needs, and raises ImportError if a package is missing.
"""


app = typer.Typer(
    name="kiro-worker",
    help="A card moved to “For Implementation” becomes tested, pushed code on its pull request.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kiro-worker {version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A card moved to “For Implementation” becomes tested, pushed code on its pull request."""


def _add_command(command: EntryPoint) -> None:
    try:
        command.load()(app)
    except ImportError as error:
        _add_placeholder(command.name, error.name or str(error))


def _add_placeholder(name: str, missing: str) -> None:
    """Add a command that reports the extra it needs, in place of one that cannot be imported."""

    @app.command(
        name,
        help=f"Needs more packages: {LOCAL_EXTRA}",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    )
    def placeholder(_context: typer.Context) -> None:
        raise ExtraMissing(missing, f"kiro-worker {name}")


app.command("replay")(replay.replay)
app.command("redrive")(replay.redrive)
app.add_typer(config.app)
app.command("pause")(queue.pause)
app.command("resume")(queue.resume)
for _command in sorted(entry_points(group=COMMANDS), key=lambda command: command.name):
    _add_command(_command)
