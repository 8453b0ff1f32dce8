"""The project board: find the next card in the target status, read one card, and move a card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import ProjectNotFound, StatusNotFound, WorkItemNotFound
from kiro_worker.github.answers import BoardPage, CardNode, Project, StatusField
from kiro_worker.github.client import UnknownArgument
from kiro_worker.github.queries import FETCH_PAGE, FETCH_WORK_ITEM, READ_CARD, SET_STATUS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gql import GraphQLRequest

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.models import WorkItem

_CARD_ID_HINT: Final = (
    "a card's ID is in the execution that worked on it (item.id); start without itemId to take the next card"
)


@dataclass(frozen=True)
class Card:
    """A card's current state, with the board's status field. An ``archived`` card is never worked on."""

    item: WorkItem
    archived: bool
    field: StatusField


def managed_statuses(configuration: Configuration) -> tuple[str, ...]:
    """The statuses from which the worker may move a card, without duplicates."""
    named = (
        configuration.target_status_column,
        configuration.in_progress_status,
        configuration.failed_status,
        configuration.blocked_status,
    )
    return tuple(dict.fromkeys(status for status in named if status is not None))


async def fetch_next_card(
    session: GitHubSession, configuration: Configuration, skipped: Collection[str]
) -> WorkItem | None:
    """The first card in the target status that is not in ``skipped``, in the board's order. One request, one point.

    The status is checked again here, because the server's filter is a search language and may match other cards.
    """
    if '"' in configuration.target_status_column:
        # The filter language of a view cannot escape a quotation mark inside a value.
        return await _fetch_next_card_by_paging(session, configuration, skipped)
    variables = _board_variables(configuration) | _filter(configuration)
    try:
        page = await _fetch_page(session, configuration, FETCH_WORK_ITEM, variables)
    except UnknownArgument:
        return await _fetch_next_card_by_paging(session, configuration, skipped)
    return _first_waiting(page, configuration, skipped)


async def read_card(session: GitHubSession, configuration: Configuration, item_id: str) -> Card:
    """One card by its ID.

    Raises :class:`WorkItemNotFound` if it does not exist or is not on the configured board, and
    :class:`StatusNotFound` if that board lacks a configured status.
    """
    variables = {
        "itemId": item_id,
        "statusField": configuration.status_field,
        "branchField": configuration.branch_field,
    }
    node = (await session.query(READ_CARD, variables)).get("node")
    if not node or node["__typename"] != "ProjectV2Item":
        raise WorkItemNotFound(f"there is no card {item_id[:100]!r} that the token can see", _CARD_ID_HINT)
    card, project = CardNode.parse(node), Project.parse(node["project"])
    # Account names on GitHub are case-insensitive.
    is_configured = project.owner.lower() == configuration.organization.lower()
    if not is_configured or project.number != configuration.project_number:
        raise WorkItemNotFound(
            f"the card {item_id} is on the board {project.owner}/{project.number},"
            f" but the configured board is {configuration.organization}/{configuration.project_number}",
            _CARD_ID_HINT,
        )
    return Card(card.item, card.archived, _checked_status_field(project, configuration))


async def set_status(session: GitHubSession, card: Card, status: str) -> None:
    """Move the card. GitHub has no compare-and-set, so read the card first, under the lock."""
    await session.mutate(
        SET_STATUS,
        {
            "projectId": card.field.project_id,
            "itemId": card.item.id,
            "fieldId": card.field.field_id,
            "optionId": card.field.options[status],
        },
    )


async def _fetch_next_card_by_paging(
    session: GitHubSession, configuration: Configuration, skipped: Collection[str]
) -> WorkItem | None:
    """The same as :func:`fetch_next_card`, without the server's filter: read the board in pages of 100 cards."""
    after = None
    while True:
        page = await _fetch_page(session, configuration, FETCH_PAGE, _board_variables(configuration) | {"after": after})
        if card := _first_waiting(page, configuration, skipped):
            return card
        after = page.next_cursor
        if after is None:
            return None


async def _fetch_page(
    session: GitHubSession, configuration: Configuration, operation: GraphQLRequest, variables: Mapping[str, Any]
) -> BoardPage:
    """Return a page of the configured board. Raises an error if the board or a configured status is missing."""
    page = BoardPage.parse(await session.query(operation, variables), configuration.owner_type)
    if page is None:
        kind = "orgs" if configuration.owner_type == "organization" else "users"
        raise ProjectNotFound(
            f"the {configuration.owner_type} {configuration.organization} has no project {configuration.project_number}"
            " that the token can see",
            f"the number is in the project's address, github.com/{kind}/{configuration.organization}/projects/NUMBER;"
            " set projectNumber in the configuration parameter, or give the token the scope project",
        )
    _checked_status_field(page.project, configuration)
    return page


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


def _checked_status_field(project: Project, configuration: Configuration) -> StatusField:
    """Return the board's status field. Raises :class:`StatusNotFound` if it lacks a configured status.

    Without this check, a filter on a status that does not exist would silently match nothing.
    """
    field = project.status_field
    if field is None:
        raise StatusNotFound(
            f'the board "{project.title}" has no single-select field "{configuration.status_field}"',
            "set statusField in the configuration parameter to the field that defines the board's columns",
        )
    missing = [status for status in configuration.statuses if status not in field.options]
    if missing:
        raise StatusNotFound(
            f'the board "{project.title}" has no status {", ".join(map(repr, missing))};'
            f" it has {', '.join(map(repr, field.options))}",
            "add the status to the board, or set one of the existing statuses in the configuration parameter"
            " (targetStatusColumn, inProgressStatus, reviewStatus, failedStatus, blockedStatus;"
            " the last two may be null)",
        )
    return field


def _first_waiting(page: BoardPage, configuration: Configuration, skipped: Collection[str]) -> WorkItem | None:
    for card in page.cards:
        if card.item.status == configuration.target_status_column and not card.archived and card.item.id not in skipped:
            return card.item
    return None
