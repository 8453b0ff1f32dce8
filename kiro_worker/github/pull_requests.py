"""The pull request that carries the work: which one may be built, or why none may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.errors import GitHubAnswerInvalid, GitHubForbidden, GitHubRefused, GitHubScopesInsufficient
from kiro_worker.github.permissions import may_push

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.answers.repository import PullRequest, RepositoryState
    from kiro_worker.github.client import GitHubSession

_MAY_PUSH: Final = ("COLLABORATOR", "MEMBER")
"""The author associations of those who may push."""


def allowed_pull_requests(repository: RepositoryState, configuration: Configuration) -> list[PullRequest]:
    """The pull requests from the branch that may be built, in GitHub's order."""
    # `pullRequests(headRefName:)` also finds branches of that name in forks, whose authors may not push here.
    return [
        pull_request
        for pull_request in repository.pull_requests
        if not pull_request.from_fork and pull_request.author_association in configuration.allowed_author_associations
    ]


async def with_real_permission(
    session: GitHubSession, configuration: Configuration, found: RepositoryState
) -> RepositoryState:
    """``found``, with an allowed association for the author of the first pull request if that person may push.

    GitHub shows members whose membership in the organization is private as ``CONTRIBUTOR`` or ``NONE``.
    """
    own = [pull_request for pull_request in found.pull_requests if not pull_request.from_fork]
    association = next((name for name in _MAY_PUSH if name in configuration.allowed_author_associations), "")
    if not own or not own[0].author or not association or allowed_pull_requests(found, configuration):
        return found
    try:
        if not await may_push(session, found.name, own[0].author):
            return found
    except (GitHubAnswerInvalid, GitHubForbidden, GitHubRefused, GitHubScopesInsufficient):
        return found
    known = own[0].model_copy(update={"author_association": association})
    return found.model_copy(update={"pull_requests": (known, *found.pull_requests)})


def pull_request_problems(repository: RepositoryState, configuration: Configuration, branch: str) -> Iterator[str]:
    """Why no pull request from the branch may be built, with the fix; nothing if one may be."""
    found = repository.pull_requests
    own = [pull_request for pull_request in found if not pull_request.from_fork]
    if not found:
        yield f"there is no open pull request from {branch}: gh pr create --head {branch}"
        yield from closed_pull_request_problems(repository, branch)
    elif not own:
        yield (
            f"the only pull request from {branch} (#{found[0].number}) comes from a fork, and forks are never built:"
            " open a pull request from a branch of this repository"
        )
    elif not allowed_pull_requests(repository, configuration):
        yield (
            f"the author association of pull request #{own[0].number} is {own[0].author_association},"
            f" but only {', '.join(configuration.allowed_author_associations)} are allowed, and the token sees no"
            f" permission of {own[0].author or 'the author'} to push (GitHub shows members whose membership is private"
            " as CONTRIBUTOR or NONE): ask a member to open the pull request, or make the membership public"
        )


def closed_pull_request_problems(repository: RepositoryState, branch: str) -> Iterator[str]:
    """How the last pull request ended, which may explain why the branch or an open pull request is missing."""
    for pull_request in repository.closed_pull_requests:
        if pull_request.from_fork:
            continue
        last = f"the last pull request from {branch}, #{pull_request.number},"
        if pull_request.merged:
            yield f"{last} is merged: there is nothing left to build"
        else:
            yield f"{last} is closed: gh pr reopen {pull_request.number}"
