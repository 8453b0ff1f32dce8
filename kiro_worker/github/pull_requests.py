"""The pull request that carries the work: which one may be built, or why none may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kiro_worker.errors import GitHubAnswerInvalid, GitHubForbidden, GitHubRefused, GitHubScopesInsufficient
from kiro_worker.github.answers.pull_request import CONFLICTING, UNKNOWN, MergeableAnswer
from kiro_worker.github.permissions import may_push
from kiro_worker.github.readiness_queries import READ_MERGEABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.answers.repository import PullRequest, RepositoryState
    from kiro_worker.github.client import GitHubSession

_MERGEABLE_ATTEMPTS: Final = 2
_MERGEABLE_SECONDS: Final = 3.0
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


def base_branch(repository: RepositoryState, configuration: Configuration) -> str:
    """The branch that the work is merged into: the base of the pull request, else the default branch."""
    own = [pull_request for pull_request in repository.pull_requests if not pull_request.from_fork]
    candidates = allowed_pull_requests(repository, configuration) or own
    return candidates[0].base_branch if candidates else repository.default_branch


async def with_known_mergeability(
    session: GitHubSession, configuration: Configuration, found: RepositoryState
) -> RepositoryState:
    """``found``, with what GitHub knows after a short wait about conflicts of the pull request.

    GitHub determines ``mergeable`` in the background after each push. If it is still unknown, the card passes.
    """
    first = next(iter(allowed_pull_requests(found, configuration)), None)
    is_asked = configuration.require_mergeable and bool(found.commit)
    if not is_asked or first is None or first.mergeable != UNKNOWN:
        return found
    mergeable = UNKNOWN
    for _ in range(_MERGEABLE_ATTEMPTS):
        await session.wait(_MERGEABLE_SECONDS)
        answer = await session.query(READ_MERGEABLE, {"id": first.id})
        mergeable = MergeableAnswer.parse(answer).mergeable
        if mergeable != UNKNOWN:
            break
    known = first.model_copy(update={"mergeable": mergeable})
    others = (each for each in found.pull_requests if each is not first)
    return found.model_copy(update={"pull_requests": (known, *others)})


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
        yield _fork_problem(repository, branch)
    elif not allowed_pull_requests(repository, configuration):
        yield (
            f"the author association of pull request #{own[0].number} is {own[0].author_association},"
            f" but only {', '.join(configuration.allowed_author_associations)} are allowed, and the token sees no"
            f" permission of {own[0].author or 'the author'} to push (GitHub shows members whose membership is private"
            " as CONTRIBUTOR or NONE): ask a member to open the pull request, or make the membership public"
        )


def draft_problems(repository: RepositoryState, configuration: Configuration) -> Iterator[str]:
    """Why the pull request that may be built is not ready for review, unless the configuration allows drafts."""
    for pull_request in allowed_pull_requests(repository, configuration)[:1]:
        if pull_request.is_draft and not configuration.allow_draft:
            number = pull_request.number
            yield f"pull request #{number} is a draft: mark it as ready for review (gh pr ready {number})"


def conflict_problems(repository: RepositoryState, configuration: Configuration, branch: str) -> Iterator[str]:
    """Why the pull request that may be built cannot be merged, if the configuration requires that it can."""
    for pull_request in allowed_pull_requests(repository, configuration)[:1]:
        if configuration.require_mergeable and pull_request.mergeable == CONFLICTING:
            base = pull_request.base_branch
            yield (
                f"pull request #{pull_request.number} conflicts with its base {base}: merge {base} into {branch}, or"
                f" rebase {branch} onto it, resolve the conflicts and push the branch"
            )


def comes_from_fork_only(repository: RepositoryState, branch: str) -> bool:
    """Whether only forks have a branch of that name that could be built."""
    is_own = repository.head is not None and branch != repository.default_branch
    found = repository.pull_requests
    return not is_own and bool(found) and all(pull_request.from_fork for pull_request in found)


def _fork_problem(repository: RepositoryState, branch: str) -> str:
    number = repository.pull_requests[0].number
    finding = f"pull request #{number} from {branch} comes from a fork, and forks are never built"
    if comes_from_fork_only(repository, branch):
        target = branch if branch != repository.default_branch else "NEW-BRANCH"
        return (
            f"{finding}: push its branch to {repository.name} itself (gh pr checkout {number} && git push origin"
            f" HEAD:{target}), and open a pull request from there (gh pr create --head {target})"
        )
    return f"{finding}: open a pull request from the branch of {repository.name} itself: gh pr create --head {branch}"


def closed_pull_request_problems(repository: RepositoryState, branch: str) -> Iterator[str]:
    """How the last pull request ended, which may explain why the branch or an open pull request is missing."""
    for pull_request in repository.closed_pull_requests:
        if pull_request.from_fork:
            continue
        last = f"the last pull request from {branch}, #{pull_request.number},"
        if pull_request.merged:
            yield f"{last} is merged: there is nothing left to build; move the card on, or open another pull request"
        else:
            yield f"{last} is closed: gh pr reopen {pull_request.number}"
