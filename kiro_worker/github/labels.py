"""Does a pull request have a label now, given by somebody who may push to the repository?

Whoever may triage can label, so the label alone says nothing. Only the last one who gave it counts: a label that was
taken away and given again is its last giver's. Labels are compared by their ID, so that one that was renamed since is
not taken for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.github.queries import READ_LABELS, READ_PERMISSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.github.client import GitHubSession

_MAY_PUSH: Final = frozenset({"WRITE", "MAINTAIN", "ADMIN"})


@dataclass(frozen=True)
class Labelling:
    """``giver`` is who gave the label, empty when it does not count; ``problem`` is then why."""

    giver: str = ""
    problem: str = ""


async def read_labelling(session: GitHubSession, repository: str, pull_request: int, label: str) -> Labelling:
    """Two requests of one point each, the second only where a person gave the label. Raises
    :class:`~kiro_worker.errors.GitHubError`: an answer that is not had is never a yes.
    """
    owner, _, name = repository.partition("/")
    where = {"owner": owner, "name": name}
    answer = await session.query(READ_LABELS, {**where, "number": pull_request})
    found = last_labelling(answer, label)
    if not found.giver:
        return found
    answer = await session.query(READ_PERMISSION, {**where, "login": found.giver})
    if permission_of(answer, found.giver) not in _MAY_PUSH:
        return Labelling(problem=f"{found.giver}, who gave it last, may not push to {repository}")
    return found


def last_labelling(answer: Mapping[str, Any], label: str) -> Labelling:
    """Who gave ``label`` last, by GitHub's answer; a person, and not the worker's own account."""
    pull_request = (answer.get("repository") or {}).get("pullRequest") or {}
    current = {node["id"] for node in _nodes(pull_request.get("labels")) if node["name"] == label}
    if not current:
        return Labelling(problem="the pull request does not have it")
    events = [event for event in _nodes(pull_request.get("timelineItems")) if event["label"]["id"] in current]
    if not events:
        return Labelling(problem="nobody is known to have given it")
    actor = events[-1]["actor"]
    if actor is None:
        return Labelling(problem="whoever gave it last has no account any more")
    if actor["__typename"] != "User":
        return Labelling(problem=f"{actor['login']}, which gave it last, is no person")
    if actor["login"].lower() == answer["viewer"]["login"].lower():
        return Labelling(problem=f"{actor['login']}, the worker's own account, gave it last")
    return Labelling(actor["login"])


def permission_of(answer: Mapping[str, Any], login: str) -> str:
    """One of GitHub's permissions, by its answer; empty for somebody who is no collaborator."""
    edges = ((answer.get("repository") or {}).get("collaborators") or {}).get("edges") or ()
    found = (edge for edge in edges if edge and edge["node"]["login"].lower() == login.lower())
    return next((str(edge["permission"]) for edge in found), "")


def _nodes(connection: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return [node for node in (connection or {}).get("nodes") or () if node]
