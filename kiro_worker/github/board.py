"""The project board: the next card of a status, one card by name, and moving a card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import ProjectNotFound, StatusNotFound, WorkItemNotFound
from kiro_worker.github.client import UnknownArgument
from kiro_worker.github.queries import FETCH_PAGE, FETCH_WORK_ITEM, READ_CARD, SET_STATUS
from kiro_worker.models import WorkItem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.client import GitHubSession

_LONGEST_TITLE: Final = 200


@dataclass(frozen=True)
class StatusField:
    """The board's status field: IDs for the mutation, ``options`` from status name to option ID."""

    project_id: str
    project_title: str
    field_id: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Card:
    """A card as it stands now. ``archived`` cards are never worked on."""

    item: WorkItem
    archived: bool
    field: StatusField


async def fetch_next_card(
    session: GitHubSession, configuration: Configuration, skipped: Collection[str]
) -> WorkItem | None:
    """The first card in the target status that is not in ``skipped``, in the board's order; one request of one point.

    The status is compared again here: the filter is a search language, and a search is not a promise.
    """
    if '"' in configuration.target_status_column:
        # A view's filter has no escape for a quotation mark inside a value.
        return await _fetch_next_card_by_paging(session, configuration, skipped)
    variables = _board_variables(configuration) | _filter(configuration)
    try:
        board = _project(await session.query(FETCH_WORK_ITEM, variables), configuration)
    except UnknownArgument:
        return await _fetch_next_card_by_paging(session, configuration, skipped)
    _check_statuses(board, configuration)
    return _first(board["items"]["nodes"], configuration, skipped)


async def read_card(session: GitHubSession, configuration: Configuration, item_id: str) -> Card:
    """One card, or :class:`WorkItemNotFound`; the board it is on must be the configured one and have the configured
    statuses.
    """
    variables = {
        "itemId": item_id,
        "statusField": configuration.status_field,
        "branchField": configuration.branch_field,
    }
    node = (await session.query(READ_CARD, variables)).get("node")
    if not node or node["__typename"] != "ProjectV2Item":
        raise WorkItemNotFound(f"there is no card {item_id[:100]!r} that the token can see", _HOW_TO_NAME_A_CARD)
    board = (str(node["project"]["owner"].get("login", "")), node["project"]["number"])
    if (board[0].lower(), board[1]) != (configuration.organization.lower(), configuration.project_number):
        raise WorkItemNotFound(
            f"the card {item_id} is on the board {board[0]}/{board[1]},"
            f" the configured one is {configuration.organization}/{configuration.project_number}",
            _HOW_TO_NAME_A_CARD,
        )
    return Card(_work_item(node), node["isArchived"], _check_statuses(node["project"], configuration))


async def set_status(session: GitHubSession, card: Card, status: str) -> None:
    """Move the card. GitHub has no compare-and-set: read the card first, under the lock."""
    await session.mutate(
        SET_STATUS,
        {
            "projectId": card.field.project_id,
            "itemId": card.item.id,
            "fieldId": card.field.field_id,
            "optionId": card.field.options[status],
        },
    )


_HOW_TO_NAME_A_CARD: Final = (
    "a card's ID is in the execution that worked on it (item.id); start without itemId to take the next card"
)


async def _fetch_next_card_by_paging(
    session: GitHubSession, configuration: Configuration, skipped: Collection[str]
) -> WorkItem | None:
    """The same answer from a server without the filter, a page of 100 after the other."""
    after = None
    while True:
        board = _project(
            await session.query(FETCH_PAGE, _board_variables(configuration) | {"after": after}), configuration
        )
        _check_statuses(board, configuration)
        if card := _first(board["items"]["nodes"], configuration, skipped):
            return card
        page = board["items"]["pageInfo"]
        if not page["hasNextPage"]:
            return None
        after = page["endCursor"]


def _board_variables(configuration: Configuration) -> dict[str, Any]:
    return {
        "owner": configuration.organization,
        "ofOrganization": configuration.owner_type == "organization",
        "projectNumber": configuration.project_number,
        "statusField": configuration.status_field,
        "branchField": configuration.branch_field,
    }


def _filter(configuration: Configuration) -> dict[str, str]:
    # A view's filter names a field by its slug.
    slug = "-".join(configuration.status_field.lower().split())
    return {"query": f'{slug}:"{configuration.target_status_column}"'}


def _project(data: Mapping[str, Any], configuration: Configuration) -> Mapping[str, Any]:
    owner: Mapping[str, Any] | None = data.get(configuration.owner_type)
    project: Mapping[str, Any] | None = owner.get("projectV2") if owner else None
    if project is None:
        kind = "orgs" if configuration.owner_type == "organization" else "users"
        raise ProjectNotFound(
            f"the {configuration.owner_type} {configuration.organization} has no project {configuration.project_number}"
            " that the token can see",
            f"the number is in the project's address, github.com/{kind}/{configuration.organization}/projects/NUMBER;"
            " set projectNumber in the configuration parameter, or give the token the scope project",
        )
    return project


def _check_statuses(project: Mapping[str, Any], configuration: Configuration) -> StatusField:
    """The status field; a filter on a status that does not exist would match nothing and say nothing, so it is an
    error here.
    """
    field = project.get("statusField")
    if not field or field["__typename"] != "ProjectV2SingleSelectField":
        raise StatusNotFound(
            f'the board "{project["title"]}" has no single-select field "{configuration.status_field}"',
            "set statusField in the configuration parameter to the field that the board's columns come from",
        )
    options = {option["name"]: option["id"] for option in field["options"]}
    missing = [status for status in configuration.statuses if status not in options]
    if missing:
        raise StatusNotFound(
            f'the board "{project["title"]}" has no status {", ".join(map(repr, missing))};'
            f" it has {', '.join(map(repr, options))}",
            "add the status to the board, or name one it has in the configuration parameter"
            " (targetStatusColumn, inProgressStatus, reviewStatus, failedStatus, blockedStatus;"
            " the last two may be null)",
        )
    return StatusField(project["id"], project["title"], field["id"], options)


def _first(nodes: list[Mapping[str, Any]], configuration: Configuration, skipped: Collection[str]) -> WorkItem | None:
    for node in nodes:
        status = (node["status"] or {}).get("name")
        if status == configuration.target_status_column and not node["isArchived"] and node["id"] not in skipped:
            return _work_item(node)
    return None


def _work_item(node: Mapping[str, Any]) -> WorkItem:
    content = node["content"] or {}
    return WorkItem(
        id=node["id"],
        title=str(content.get("title", ""))[:_LONGEST_TITLE],
        # Null content is a card whose issue the token may not see; GitHub calls such an item REDACTED.
        content_type=content.get("__typename", "Redacted"),
        content_id=content.get("id", ""),
        url=content.get("url", ""),
        repository=(content.get("repository") or {}).get("nameWithOwner", ""),
        number=content.get("number", 0),
        status=(node["status"] or {}).get("name", ""),
        branch=_branch(node, content),
    )


def _branch(node: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    """The text field; else the issue's linked branch; else the head of the card's own pull request."""
    if text := str((node["branch"] or {}).get("text") or "").strip():
        return text
    for linked in (content.get("linkedBranches") or {}).get("nodes") or ():
        if linked and linked["ref"]:
            return str(linked["ref"]["name"])
    return str(content.get("headRefName") or "")
