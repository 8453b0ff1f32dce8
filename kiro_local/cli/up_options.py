"""The options of `kiro-worker local up`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PortOption = Annotated[
    int, typer.Option(help="The port of the AWS endpoint on 127.0.0.1; 0 takes a free port.", min=0, max=65535)
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        help="A JSON or YAML file with the configuration parameter. Default: the demo's configuration.", exists=True
    ),
]
BoardOption = Annotated[
    Path | None,
    typer.Option(
        help="A JSON or YAML file with a board for the stand-in GitHub, in the format named above. Default: the demo's"
        " board.",
        exists=True,
    ),
]
GitHubApiUrlOption = Annotated[str | None, typer.Option(help="The GraphQL URL of a real GitHub.")]
GitUrlOption = Annotated[str | None, typer.Option(help="The git URL of the same GitHub.")]
GitHubTokenEnvOption = Annotated[
    str | None, typer.Option(help="The name of the environment variable that holds the GitHub token.")
]
AgentCommandOption = Annotated[
    str | None,
    typer.Option(
        "--agent-command",
        help="The agent's command line. It runs in the checkout and reads the prompt from standard input.",
    ),
]
EveryOption = Annotated[
    float | None,
    typer.Option(help="Seconds between ticks; 0 means no schedule. Default: the template's schedule.", min=0),
]
