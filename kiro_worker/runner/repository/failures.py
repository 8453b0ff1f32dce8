"""Turns a failed git command into the end of the build: with the reason, the fix, and who has to act."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.errors import BuildStopped, GitHubRateLimited, GitHubUnavailable
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.git_causes import CAUSES, TRANSIENT, Cause

if TYPE_CHECKING:
    from kiro_worker.outcomes import FaultOwner
    from kiro_worker.runner.repository.git import GitFailed


def stop_because(
    failure: GitFailed, outcome: Outcome, attempted: str, fix: str, owner: FaultOwner | None = None
) -> BuildStopped:
    """Return the stop for a command that failed. ``attempted`` says what was not possible: "the branch x cannot be …".

    ``outcome``, ``fix`` and ``owner`` apply where git's answer does not say more. A server that gave no usable answer
    has not decided anything, so that outcome is always WorkerFailed.
    """
    answer = failure.answer
    facts = CAUSES[answer.cause]
    meaning = facts.meaning.format(credentials=_credentials(failure))
    if failure.attempts > 1:
        meaning += f" in {failure.attempts} attempts"
    reason = ": ".join(filter(None, (attempted, meaning or f"git {failure.command} failed", answer.quote)))
    error = ""
    if answer.cause in TRANSIENT:
        error = (GitHubRateLimited if answer.cause is Cause.RATE_LIMITED else GitHubUnavailable).__name__
        outcome, reason = Outcome.WORKER_FAILED, f"{error}: {reason}"
    remedy = facts.fix.format(credentials=_credentials(failure), store=_store(failure)) or fix
    return BuildStopped(outcome, reason, remedy, failure.error, facts.owner or owner, error)


def _credentials(failure: GitFailed) -> str:
    return "the git credentials" + (f" ({failure.secret})" if failure.secret else "")


def _store(failure: GitFailed) -> str:
    if not failure.secret:
        return "use a token with access"
    form = '{"username":"git","password":"your_token"}'
    return f"aws secretsmanager put-secret-value --secret-id {failure.secret} --secret-string '{form}'"
