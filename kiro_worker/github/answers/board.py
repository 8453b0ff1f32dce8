"""The project board, its status field and its cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field

from kiro_worker.errors import GitHubAnswerInvalid
from kiro_worker.github.answers.base import Answer, Nodes
from kiro_worker.models import REDACTED, WorkItem

_LONGEST_TITLE: Final = 200
_LONGEST_FIELD: Final = 1000
"""The maximum length of a text field. No branch or spec folder has such a long name, so no valid text is cut off."""


@dataclass(frozen=True)
class StatusField:
    """The board's status field: the IDs that a mutation needs, and the option ID of each status."""

    project_id: str
    field_id: str
    options: Mapping[str, str]


class _Option(Answer):
    id: str
    name: str


class _SingleSelect(Answer):
    typename: str = Field(default="", alias="__typename")
    id: str = ""
    options: tuple[_Option, ...] = Field(default=(), strict=False)


class _Owner(Answer):
    login: str = ""


class Project(Answer):
    """A project board. Only ``READ_CARD`` selects ``owner`` and ``number``."""

    id: str
    title: str
    selected_field: _SingleSelect | None = Field(default=None, alias="statusField")
    account: _Owner | None = Field(default=None, alias="owner")
    number: int = 0
    selected_priorities: _SingleSelect | None = Field(default=None, alias="priorityField")

    @property
    def priorities(self) -> Mapping[str, int]:
        """The options of the board's priority field, each with its place; empty without a single-select field."""
        field = self.selected_priorities
        if field is None or field.typename != "ProjectV2SingleSelectField":
            return {}
        return {option.name: place for place, option in enumerate(field.options)}

    @property
    def owner(self) -> str:
        return self.account.login if self.account else ""

    @property
    def status_field(self) -> StatusField | None:
        """``None`` if the configured field is missing or not a single-select."""
        field = self.selected_field
        if field is None or field.typename != "ProjectV2SingleSelectField":
            return None
        return StatusField(self.id, field.id, {option.name: option.id for option in field.options})


def _timestamp_or_empty(value: object) -> str:
    """``value`` if it is a timestamp with an offset. The status itself matters more than when it changed."""
    if not isinstance(value, str):
        return ""
    try:
        moment = datetime.fromisoformat(value)
        moment.astimezone(UTC)  # raises an error for a moment that is outside the years 1 to 9999 in UTC
    except (ValueError, OverflowError):
        return ""
    return value if moment.tzinfo else ""


class _Status(Answer):
    name: str = ""
    updated_at: Annotated[str, BeforeValidator(_timestamp_or_empty)] = ""


class _Text(Answer):
    text: str | None = None


class _Repository(Answer):
    name_with_owner: str


class _Ref(Answer):
    name: str
    repository: _Repository


class _LinkedBranch(Answer):
    ref: _Ref | None = None


class _Content(Answer):
    """An issue, a pull request or a draft."""

    typename: str = Field(alias="__typename")
    id: str = ""
    title: str = ""
    url: str = ""
    number: int = 0
    repository: _Repository | None = None
    linked_branches: Nodes[_LinkedBranch] = ()
    head_ref_name: str | None = None
    issue_state: str = ""
    pull_request_state: str = ""


class CardNode(Answer):
    """A card as the ``Card`` fragment selects it."""

    id: str
    archived: bool = Field(alias="isArchived")
    status: _Status | None = None
    branch: _Text | None = None
    spec: _Text | None = None
    content: _Content | None = None
    selected_priority: _Status | None = Field(default=None, alias="priority")

    @property
    def priority(self) -> str:
        """The option of the board's priority field; empty if the card has none."""
        return self.selected_priority.name if self.selected_priority else ""

    @property
    def item(self) -> WorkItem:
        # The content is null if the token may not see the issue; GitHub calls such an item REDACTED.
        content = self.content or _Content(__typename=REDACTED)
        repository = content.repository.name_with_owner if content.repository else ""
        branch, linked = self._branch(content, repository)
        return WorkItem(
            id=self.id,
            title=content.title[:_LONGEST_TITLE],
            content_type=content.typename,
            content_id=content.id,
            url=content.url,
            repository=repository,
            number=content.number,
            status=self.status.name if self.status else "",
            branch=branch,
            state=content.issue_state or content.pull_request_state,
            linked_branches=linked,
            spec=((self.spec.text if self.spec else None) or "").strip()[:_LONGEST_FIELD],
            status_updated_at=self.status.updated_at if self.status else "",
        )

    def _branch(self, content: _Content, repository: str) -> tuple[str, tuple[str, ...]]:
        """The card's branch: the text field, else the issue's linked branch, else the head branch of its pull request.

        If the linked branches do not determine one, the branch is empty and they are returned as ``owner/name:branch``.
        """
        if self.branch and (text := (self.branch.text or "").strip()):
            return text[:_LONGEST_FIELD], ()
        # The ref of a branch that was deleted is null.
        refs = [linked.ref for linked in content.linked_branches if linked.ref]
        # Names of repositories on GitHub are case-insensitive.
        own = {ref.name for ref in refs if ref.repository.name_with_owner.lower() == repository.lower()}
        if len(own) == 1:
            return own.pop(), ()
        if refs:
            return "", tuple(f"{ref.repository.name_with_owner}:{ref.name}" for ref in refs)
        return content.head_ref_name or "", ()


@dataclass(frozen=True)
class BoardPage:
    """Some cards of a board, in the board's order. ``next_cursor`` is ``None`` on the last page.

    ``total`` is the number of cards on all pages.
    ``hidden`` counts the cards that the token may not see, and those that do not follow GitHub's schema: one such card
    must not stop the others.
    """

    project: Project
    cards: tuple[CardNode, ...]
    hidden: int
    next_cursor: str | None
    total: int = 0

    @classmethod
    def parse(cls, answer: object, owner_type: str) -> Self | None:
        """The page; ``None`` if the token sees no such project. ``owner_type`` is ``organization`` or ``user``."""
        owners = _Owners.parse(answer)
        account = owners.organization if owner_type == "organization" else owners.user
        project = account.project_v2 if account else None
        if project is None:
            return None
        items = project.items or _Items()
        cards = [card for node in items.nodes or () if (card := _visible_card(node))]
        hidden = len(items.nodes or ()) - len(cards)
        return cls(project, tuple(cards), hidden, items.page.next_cursor, items.total)


class _Page(Answer):
    has_next_page: bool = False
    end_cursor: str | None = None

    @property
    def next_cursor(self) -> str | None:
        return self.end_cursor if self.has_next_page else None


class _Items(Answer):
    page: _Page = Field(default=_Page(), alias="pageInfo")
    total: int = Field(default=0, alias="totalCount")
    nodes: list[Any] | None = None


class _ProjectWithItems(Project):
    items: _Items | None = None


class _Account(Answer):
    project_v2: _ProjectWithItems | None = Field(default=None, alias="projectV2")


class _Owners(Answer):
    organization: _Account | None = None
    user: _Account | None = None


def _visible_card(node: object) -> CardNode | None:
    try:
        return CardNode.parse(node)
    except GitHubAnswerInvalid:
        return None


class CardAnswer(Answer):
    """The answer to ``READ_CARD``. Both are ``None`` if the ID names nothing, or something that is not a card."""

    card: CardNode | None
    project: Project | None

    @classmethod
    def parse(cls, answer: object) -> Self:
        node = _NodeAnswer.parse(answer).node
        if node is None or node.get("__typename") != "ProjectV2Item":
            return cls(card=None, project=None)
        return cls(card=CardNode.parse(node), project=Project.parse(node.get("project")))


class _NodeAnswer(Answer):
    node: dict[str, Any] | None = None
