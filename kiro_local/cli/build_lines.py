"""The lines of a build on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

if TYPE_CHECKING:
    from rich.console import Console

    from kiro_local.aws.server import LineListener


def show_build_lines(console: Console) -> LineListener:
    """Shows what a build prints while it runs. CodeBuild's own lines, which phase and which command, are left out."""

    def on_line(_build_id: str, line: str) -> None:
        if line.strip() and not line.startswith(("[phase]", "[command]")):
            console.print(f"      [dim]│ {escape(line.rstrip())}[/dim]")

    return on_line
