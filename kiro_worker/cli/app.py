"""`kiro-worker …`: its commands, one module each."""

from __future__ import annotations

import typer

from kiro_worker.cli import demo, local, replay

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
app.command("replay")(replay.replay)
app.command("redrive")(replay.redrive)
