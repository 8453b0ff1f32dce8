"""`kiro-worker demo` and `kiro-worker local`: the worker on one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


def add_demo(app: typer.Typer) -> None:
    """The entry point of `kiro-worker demo`."""
    from kiro_local.cli.demo import demo

    app.command("demo")(demo)


def add_local(app: typer.Typer) -> None:
    """The entry point of `kiro-worker local`."""
    from kiro_local.cli import local

    app.add_typer(local.app, name="local")
