"""The labels of a pull request and who added them, and the permissions of a repository's collaborators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from pydantic import Field

from kiro_worker.github.answers.base import Answer, Nodes


@dataclass(frozen=True)
class LabelEvent:
    """The addition of a label. ``actor`` is ``None`` if that account has since been deleted."""

    label_id: str
    actor: Actor | None


class Actor(Answer):
    """An account that did something. ``type`` is GitHub's: ``User``, ``Bot`` …"""

    login: str
    type: str = Field(alias="__typename")


@dataclass(frozen=True)
class LabelHistory:
    """A pull request's current labels (names by ID), and the events that added labels, oldest first.

    ``viewer`` is the login of the token's account.
    """

    names: Mapping[str, str]
    events: tuple[LabelEvent, ...]
    viewer: str

    @classmethod
    def parse(cls, answer: object) -> Self:
        found = _LabelsAnswer.parse(answer)
        pull_request = (found.repository.pull_request if found.repository else None) or _PullRequest()
        return cls(
            names={label.id: label.name for label in pull_request.labels},
            events=tuple(LabelEvent(event.label.id, event.actor) for event in pull_request.timeline_items),
            viewer=found.viewer.login,
        )


def parse_permissions(answer: object) -> dict[str, str]:
    """The permission of each collaborator that GitHub listed, by login in lower case."""
    repository = _PermissionAnswer.parse(answer).repository
    collaborators = repository.collaborators if repository else None
    edges = (collaborators.edges if collaborators else None) or ()
    return {edge.node.login.lower(): edge.permission for edge in edges if edge}


class _Label(Answer):
    id: str
    name: str


class _LabelId(Answer):
    id: str


class _LabeledEvent(Answer):
    label: _LabelId
    actor: Actor | None = None


class _PullRequest(Answer):
    labels: Nodes[_Label] = ()
    timeline_items: Nodes[_LabeledEvent] = ()


class _LabeledRepository(Answer):
    pull_request: _PullRequest | None = None


class _Account(Answer):
    login: str


class _LabelsAnswer(Answer):
    repository: _LabeledRepository | None = None
    viewer: _Account


class _Edge(Answer):
    permission: str
    node: _Account


class _Collaborators(Answer):
    edges: list[_Edge | None] | None = None


class _RepositoryWithCollaborators(Answer):
    collaborators: _Collaborators | None = None


class _PermissionAnswer(Answer):
    repository: _RepositoryWithCollaborators | None = None
