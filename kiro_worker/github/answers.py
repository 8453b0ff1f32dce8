"""GitHub's answers, parsed once into typed values.

Each class parses what one fragment or operation of :mod:`kiro_worker.github.queries` selects. GraphQL returns null for
anything that does not exist or that the token may not see, and each class documents how it represents that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from kiro_worker.github.branch_rules import BranchAccess
from kiro_worker.models import WorkItem

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_TITLE: Final = 200


@dataclass(frozen=True)
class StatusField:
    """The board's status field: the IDs that a mutation needs, and the option ID of each status."""

    project_id: str
    field_id: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Project:
    """A project board. ``status_field`` is ``None`` if the configured field is missing or not a single-select.

    Only ``READ_CARD`` selects ``owner`` and ``number``.
    """

    title: str
    status_field: StatusField | None
    owner: str
    number: int

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Self:
        status_field = None
        field = answer.get("statusField")
        if field and field["__typename"] == "ProjectV2SingleSelectField":
            options = {option["name"]: option["id"] for option in field["options"]}
            status_field = StatusField(answer["id"], field["id"], options)
        return cls(
            title=answer["title"],
            status_field=status_field,
            owner=str((answer.get("owner") or {}).get("login", "")),
            number=answer.get("number", 0),
        )


@dataclass(frozen=True)
class CardNode:
    """A card as the ``Card`` fragment selects it."""

    item: WorkItem
    archived: bool

    @classmethod
    def parse(cls, node: Mapping[str, Any]) -> Self:
        content = node["content"] or {}
        item = WorkItem(
            id=node["id"],
            title=str(content.get("title", ""))[:_LONGEST_TITLE],
            # The content is null if the token may not see the issue; GitHub calls such an item REDACTED.
            content_type=content.get("__typename", "Redacted"),
            content_id=content.get("id", ""),
            url=content.get("url", ""),
            repository=(content.get("repository") or {}).get("nameWithOwner", ""),
            number=content.get("number", 0),
            status=(node["status"] or {}).get("name", ""),
            branch=_branch_of_card(node, content),
        )
        return cls(item, node["isArchived"])


@dataclass(frozen=True)
class BoardPage:
    """Some cards of a board, in the board's order. ``next_cursor`` is ``None`` on the last page."""

    project: Project
    cards: tuple[CardNode, ...]
    next_cursor: str | None

    @classmethod
    def parse(cls, answer: Mapping[str, Any], owner_type: str) -> Self | None:
        """The page; ``None`` if the token sees no such project. ``owner_type`` is ``organization`` or ``user``."""
        project = (answer.get(owner_type) or {}).get("projectV2")
        if project is None:
            return None
        items = project["items"]
        page = items["pageInfo"]
        return cls(
            Project.parse(project),
            tuple(CardNode.parse(node) for node in items["nodes"]),
            page["endCursor"] if page["hasNextPage"] else None,
        )


@dataclass(frozen=True)
class SpecFile:
    """An entry of the spec folder. ``mode`` and ``type`` are git's; ``size`` is in bytes."""

    name: str
    mode: int
    type: str
    size: int
    is_binary: bool

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Self:
        # Only a blob has a size. A submodule's commit is null, because it is not in this repository.
        blob = entry["object"] or {}
        return cls(entry["name"], entry["mode"], entry["type"], blob.get("byteSize", 0), bool(blob.get("isBinary")))


@dataclass(frozen=True)
class BranchHead:
    """What a branch points to. ``commit`` is empty if it is not a commit."""

    commit: str

    @classmethod
    def parse(cls, ref: Mapping[str, Any]) -> Self:
        target = ref["target"]
        return cls(target["oid"] if target["__typename"] == "Commit" else "")


@dataclass(frozen=True)
class PullRequest:
    """An open pull request. ``from_fork`` means that its branch is in another repository."""

    id: str
    number: int
    url: str
    from_fork: bool
    author_association: str
    base_branch: str

    @classmethod
    def parse(cls, node: Mapping[str, Any]) -> Self:
        base, association = node["baseRefName"], node["authorAssociation"]
        return cls(node["id"], node["number"], node["url"], node["isCrossRepository"], association, base)


@dataclass(frozen=True)
class ClosedPullRequest:
    """A pull request that is closed or merged."""

    number: int
    merged: bool
    from_fork: bool

    @classmethod
    def parse(cls, node: Mapping[str, Any]) -> Self:
        return cls(node["number"], node["state"] == "MERGED", node["isCrossRepository"])


@dataclass(frozen=True)
class RepositoryState:
    """A repository as the readiness check of one branch sees it.

    ``head`` is ``None`` if the branch does not exist, and ``spec_files`` if the spec folder does not exist. ``tasks``
    is the text of ``tasks.md``, or empty. ``pull_requests`` are the open ones from branches of that name, including
    those in forks; ``closed_pull_requests`` holds at most the last one.
    """

    name: str
    access: BranchAccess
    default_branch: str
    head: BranchHead | None
    spec_files: tuple[SpecFile, ...] | None
    tasks: str
    pull_requests: tuple[PullRequest, ...]
    closed_pull_requests: tuple[ClosedPullRequest, ...]

    @classmethod
    def parse(cls, repository: Mapping[str, Any]) -> Self:
        tree = repository["specFolder"]
        is_folder = tree is not None and tree["__typename"] == "Tree"
        return cls(
            name=repository["nameWithOwner"],
            access=BranchAccess.parse(repository),
            default_branch=(repository["defaultBranchRef"] or {}).get("name", ""),
            head=BranchHead.parse(repository["ref"]) if repository["ref"] is not None else None,
            spec_files=tuple(map(SpecFile.parse, tree["entries"])) if is_folder else None,
            tasks=(repository["tasks"] or {}).get("text") or "",
            pull_requests=tuple(map(PullRequest.parse, repository["pullRequests"]["nodes"])),
            closed_pull_requests=tuple(map(ClosedPullRequest.parse, repository["closedPullRequests"]["nodes"])),
        )

    @property
    def commit(self) -> str:
        """The commit that the branch points to; empty if there is none."""
        return self.head.commit if self.head else ""


@dataclass(frozen=True)
class Comment:
    """A comment. ``is_own`` means that the token's account wrote it."""

    id: str
    url: str
    body: str
    is_own: bool


@dataclass(frozen=True)
class CommentPage:
    """Some comments, oldest first. ``previous_cursor`` is ``None`` on the page with the oldest comment."""

    comments: tuple[Comment, ...]
    previous_cursor: str | None

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Self | None:
        """The page; ``None`` if the subject does not exist or cannot have comments."""
        connection = (answer.get("node") or {}).get("comments")
        if connection is None:
            return None
        page = connection["pageInfo"]
        return cls(
            tuple(
                Comment(node["id"], str(node["url"]), node["body"], node["viewerDidAuthor"])
                for node in connection["nodes"]
            ),
            page["startCursor"] if page["hasPreviousPage"] else None,
        )


@dataclass(frozen=True)
class Actor:
    """An account that did something. ``type`` is GitHub's: ``User``, ``Bot`` …"""

    login: str
    type: str


@dataclass(frozen=True)
class LabelEvent:
    """The addition of a label. ``actor`` is ``None`` if that account has since been deleted."""

    label_id: str
    actor: Actor | None

    @classmethod
    def parse(cls, node: Mapping[str, Any]) -> Self:
        actor = node["actor"]
        return cls(node["label"]["id"], Actor(actor["login"], actor["__typename"]) if actor is not None else None)


@dataclass(frozen=True)
class LabelHistory:
    """A pull request's current labels (names by ID), and the events that added labels, oldest first.

    ``viewer`` is the login of the token's account.
    """

    names: Mapping[str, str]
    events: tuple[LabelEvent, ...]
    viewer: str

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> Self:
        pull_request = (answer.get("repository") or {}).get("pullRequest") or {}
        return cls(
            names={node["id"]: node["name"] for node in _nodes(pull_request.get("labels"))},
            events=tuple(map(LabelEvent.parse, _nodes(pull_request.get("timelineItems")))),
            viewer=answer["viewer"]["login"],
        )


def parse_permissions(answer: Mapping[str, Any]) -> dict[str, str]:
    """The permission of each collaborator that GitHub listed, by login in lower case."""
    edges = ((answer.get("repository") or {}).get("collaborators") or {}).get("edges") or ()
    return {edge["node"]["login"].lower(): str(edge["permission"]) for edge in edges if edge}


def _branch_of_card(node: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """The card's branch: the text field, else the issue's linked branch, else the head branch of its pull request."""
    if text := str((node["branch"] or {}).get("text") or "").strip():
        return text
    for linked in (content.get("linkedBranches") or {}).get("nodes") or ():
        if linked and linked["ref"]:
            return str(linked["ref"]["name"])
    return str(content.get("headRefName") or "")


def _nodes(connection: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return [node for node in (connection or {}).get("nodes") or () if node]
