"""What a build may have to ask GitHub, each in a session of its own. Most builds ask nothing, so that this module,
which brings the GraphQL client along, is imported where it is needed and not before.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from kiro_worker.github.client import github_session
from kiro_worker.github.labels import read_labelling
from kiro_worker.runner.request import from_branch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.github.labels import Labelling
    from kiro_worker.runner.request import BuildRequest

_Answer = TypeVar("_Answer")


def job_of_branch(
    configuration: Configuration, token: str, branch: str, owner: str, repository: str = ""
) -> BuildRequest:
    """:func:`~kiro_worker.runner.request.from_branch`. Raises :class:`GitHubError`, too."""
    return _asked(configuration, token, lambda session: from_branch(session, configuration, branch, owner, repository))


def labelling_of(configuration: Configuration, token: str, request: BuildRequest, label: str) -> Labelling:
    """:func:`~kiro_worker.github.labels.read_labelling` of the job's pull request. Raises :class:`GitHubError`."""
    return _asked(
        configuration, token, lambda session: read_labelling(session, request.repository, request.pull_request, label)
    )


def _asked(
    configuration: Configuration, token: str, question: Callable[[GitHubSession], Awaitable[_Answer]]
) -> _Answer:
    async def ask() -> _Answer:
        async with github_session(configuration.github_api_url, token) as session:
            return await question(session)

    return asyncio.run(ask())
