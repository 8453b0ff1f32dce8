"""Whether a pull request has a label that was added by a person who may push to the repository.

The label alone proves nothing, because the triage permission is enough to add one. Only the person who added it last
counts, even if it was removed and added again. Labels are compared by ID, so that a renamed label is not mistaken for
another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiro_worker.github.answers.labels import LabelHistory
from kiro_worker.github.permissions import may_push
from kiro_worker.github.queries import READ_LABELS

if TYPE_CHECKING:
    from kiro_worker.github.client import GitHubSession


@dataclass(frozen=True)
class Labeling:
    """Who added the label. If the label does not count, ``added_by`` is empty and ``problem`` says why."""

    added_by: str = ""
    problem: str = ""


async def read_labeling(session: GitHubSession, repository: str, pull_request: int, label: str) -> Labeling:
    """Who added ``label`` to the pull request, if that person may push to the repository.

    Takes two requests of one point each, the second only if a person added the label. Raises
    :class:`~kiro_worker.errors.GitHubError` if GitHub gives no answer, so that the label then does not count.
    """
    owner, _, name = repository.partition("/")
    answer = await session.query(READ_LABELS, {"owner": owner, "name": name, "number": pull_request})
    found = last_labeling(LabelHistory.parse(answer), label)
    if not found.added_by:
        return found
    if not await may_push(session, repository, found.added_by):
        return Labeling(problem=f"{found.added_by}, who added it last, may not push to {repository}")
    return found


def last_labeling(history: LabelHistory, label: str) -> Labeling:
    """Who added ``label`` last, if that was a person other than the worker's own account."""
    current = {label_id for label_id, name in history.names.items() if name == label}
    if not current:
        return Labeling(problem="the pull request does not have it")
    events = [event for event in history.events if event.label_id in current]
    if not events:
        return Labeling(problem="GitHub does not say who added it")
    actor = events[-1].actor
    if actor is None:
        return Labeling(problem="the account that added it last no longer exists")
    if actor.type != "User":
        return Labeling(problem=f"{actor.login}, which added it last, is not a person")
    if actor.login.lower() == history.viewer.lower():
        return Labeling(problem=f"{actor.login}, the worker's own account, added it last")
    return Labeling(actor.login)
