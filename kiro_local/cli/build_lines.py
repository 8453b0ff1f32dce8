"""Shows the output of a running build on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

if TYPE_CHECKING:
    from rich.console import Console

    from kiro_local.aws.server import LineListener


def show_build_lines(console: Console) -> LineListener:
    """A listener that prints each line of a build, except CodeBuild's own lines about phases and commands."""

    def on_line(_build_id: str, line: str) -> None:
        if line.strip() and not line.startswith(("[phase]", "[command]")):
            console.print(f"      [dim]│ {escape(line.rstrip())}[/dim]")

    return on_line
