"""The options of `kiro-worker local up` that select a real GitHub."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from kiro_local.environment import GitHubAccess

if TYPE_CHECKING:
    from pathlib import Path


def real_github(
    api_url: str | None, git_url: str | None, token_env: str | None, config: Path | None
) -> GitHubAccess | None:
    """Access to the GitHub in the options; ``None`` without any of them. Raises :class:`typer.BadParameter`."""
    options = {"--github-api-url": api_url, "--git-url": git_url, "--github-token-env": token_env}
    if not any(options.values()):
        return None
    if missing := [option for option, value in options.items() if not value]:
        raise typer.BadParameter(f"a real GitHub also needs {', '.join(missing)}")
    if config is None:
        raise typer.BadParameter(
            "a real GitHub also needs --config, a file with organization, repository, projectNumber and"
            " targetStatusColumn"
        )
    assert api_url and git_url and token_env  # noqa: S101, PT018  # checked above
    token = os.environ.get(token_env, "").strip()
    if not token:
        raise typer.BadParameter(f"the environment variable {token_env} is not set or empty")
    return GitHubAccess(api_url, git_url, token)
