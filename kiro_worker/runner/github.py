"""What the runner reads from GitHub, each time in a new session.

Most builds read nothing. This module imports the GraphQL client, so it is itself imported only where it is needed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from kiro_worker.github.client import github_session
from kiro_worker.github.labels import read_labeling
from kiro_worker.runner.request import request_from_branch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.github.labels import Labeling
    from kiro_worker.runner.request import BuildRequest

_Answer = TypeVar("_Answer")


def request_for_branch(
    configuration: Configuration, token: str, branch: str, owner: str, repository: str = ""
) -> BuildRequest:
    """Return the request of a build that a person started: see :func:`~kiro_worker.runner.request.request_from_branch`.

    Raises :class:`GitHubError` as well.
    """
    return _ask(
        configuration, token, lambda session: request_from_branch(session, configuration, branch, owner, repository)
    )


def read_labeling_of(configuration: Configuration, token: str, request: BuildRequest, label: str) -> Labeling:
    """Return who set ``label`` on the request's pull request. Raises :class:`GitHubError`."""
    return _ask(
        configuration, token, lambda session: read_labeling(session, request.repository, request.pull_request, label)
    )


def _ask(configuration: Configuration, token: str, question: Callable[[GitHubSession], Awaitable[_Answer]]) -> _Answer:
    async def ask() -> _Answer:
        async with github_session(configuration.github_api_url, token) as session:
            return await question(session)

    return asyncio.run(ask())
