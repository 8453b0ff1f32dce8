"""Starts the stand-in GitHub for a command."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from kiro_local.environment import GitHubAccess
from kiro_local.github.stand_in import StandInGitHub

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path


def start_stand_in(stack: ExitStack, directory: Path) -> tuple[StandInGitHub, GitHubAccess]:
    """A stand-in with an empty board and a new token; it stops with ``stack``."""
    github = stack.enter_context(StandInGitHub(directory))
    token = f"ghp_{secrets.token_hex(18)}"
    github.add_token(token, "kiro-worker-bot")
    return github, GitHubAccess(github.graphql_url, github.git_url, token)
