"""What reviewers have to know about a pull request that carries the worker's commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.errors import GitHubError
from kiro_worker.github.answers.pull_request import PullRequestAnswer
from kiro_worker.github.markdown import code
from kiro_worker.github.queries import COMPARISON, READ_PULL_REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiro_worker.github.answers.pull_request import ReviewedPullRequest
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.models import Work


async def review_notes(session: GitHubSession, work: Work) -> tuple[str, ...]:
    """Notes in Markdown about the pull request of ``work``, which may have changed during the build."""
    variables = {"id": work.pull_request_id, "head": work.branch}
    try:
        answer = PullRequestAnswer.parse(await session.query(READ_PULL_REQUEST, variables, COMPARISON))
    except GitHubError:
        # The report of pushed work must not depend on it. A broken token fails the next request.
        return ("GitHub did not say whether the pull request is still open, or conflicts with its base.",)
    return tuple(notes(answer.node, work))


def notes(pull_request: ReviewedPullRequest | None, work: Work) -> Iterator[str]:
    """The notes, the most important first. ``pull_request`` is ``None`` if the token no longer sees it."""
    create = f"open another one: {code(f'gh pr create --head {work.branch}')}"
    if pull_request is None:
        yield f"No open pull request carries this work, because #{work.pull_request} no longer exists: {create}"
        return
    if pull_request.state == "MERGED":
        yield f"No open pull request carries this work, because #{work.pull_request} was merged meanwhile: {create}"
        return
    if pull_request.state == "CLOSED":
        reopen = f"reopen it: {code(f'gh pr reopen {work.pull_request}')}"
        yield f"No open pull request carries this work, because #{work.pull_request} was closed meanwhile: {reopen}"
        return
    base = pull_request.base_branch
    if base != work.base_branch:
        yield f"The pull request now targets {code(base)}. When the build started, it was {code(work.base_branch)}."
    if pull_request.conflicts:
        yield f"The branch conflicts with {code(base)}: merge {code(base)} into it."
    elif pull_request.behind_by:
        count = f"{pull_request.behind_by} commit{'s' if pull_request.behind_by > 1 else ''}"
        yield f"{code(base)} has {count} that the branch lacks and the tests did not include."
    if pull_request.is_draft:
        yield f"The pull request is a draft: {code(f'gh pr ready {work.pull_request}')}"
