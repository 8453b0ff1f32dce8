"""`kiro-worker …`: its own commands, and those that other installed packages add."""

from __future__ import annotations

from importlib.metadata import entry_points

import typer

from kiro_worker.cli import replay

COMMANDS = "kiro_worker.commands"
"""The entry-point group for more commands: a callable each, which takes the application and adds its command."""

app = typer.Typer(
    name="kiro-worker",
    help="A card moved to “For Implementation” becomes tested, pushed code on its pull request.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("replay")(replay.replay)
app.command("redrive")(replay.redrive)
for _command in entry_points(group=COMMANDS):
    _command.load()(app)
