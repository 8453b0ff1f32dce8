"""The project board: find the next card in the target status, read one card, and move a card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import ProjectNotFound, StatusNotFound, WorkItemNotFound
from kiro_worker.github.answers.board import BoardPage, CardAnswer
from kiro_worker.github.queries import CARDS, CONTENT, FETCH_PAGE, FETCH_WORK_ITEM, READ_CARD, SET_STATUS
from kiro_worker.github.request_errors import UnknownArgument
from kiro_worker.models import REDACTED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gql import GraphQLRequest

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.answers.board import Project, StatusField
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.models import WorkItem

_STATUS_HINT: Final = (
    "add the status to the board, or set one of the existing statuses in the configuration parameter"
    " (targetStatusColumn, inProgressStatus, reviewStatus, failedStatus, blockedStatus; the last two may be null)"
)
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


@dataclass(frozen=True)
class NextCard:
    """The first card that is waiting, ``None`` if there is none, and how many cards before it the token may not see."""

    item: WorkItem | None
    hidden: int = 0


async def fetch_next_card(session: GitHubSession, configuration: Configuration, skipped: Collection[str]) -> NextCard:
    """The first card in the target status that the token may see and that is not in ``skipped``, in the board's order.

    A page of 20 cards is one request and one point. The status is checked again here, because the server's filter is a
    search language and may match other cards.
    """
    if '"' in configuration.target_status_column:
        # The filter language of a view cannot escape a quotation mark inside a value.
        return await _first_waiting(session, configuration, skipped, FETCH_PAGE, {})
    try:
        return await _first_waiting(session, configuration, skipped, FETCH_WORK_ITEM, _filter(configuration))
    except UnknownArgument:
        return await _first_waiting(session, configuration, skipped, FETCH_PAGE, {})


async def read_card(
    session: GitHubSession, configuration: Configuration, item_id: str, needed: Collection[str | None] | None = None
) -> Card:
    """One card by its ID.

    Raises :class:`WorkItemNotFound` if it does not exist or is not on the configured board, and
    :class:`StatusNotFound` if that board lacks one of the statuses ``needed``, where ``None`` means every configured
    status, and a status that is ``None`` is not needed.
    """
    variables = {
        "itemId": item_id,
        "statusField": configuration.status_field,
        "branchField": configuration.branch_field,
    }
    answer = CardAnswer.parse(await session.query(READ_CARD, variables, CONTENT))
    card, project = answer.card, answer.project
    if card is None or project is None:
        raise WorkItemNotFound(f"there is no card {item_id[:100]!r} that the token can see", _CARD_ID_HINT)
    # Account names on GitHub are case-insensitive.
    is_configured = project.owner.lower() == configuration.organization.lower()
    if not is_configured or project.number != configuration.project_number:
        raise WorkItemNotFound(
            f"the card {item_id} is on the board {project.owner}/{project.number},"
            f" but the configured board is {configuration.organization}/{configuration.project_number}",
            _CARD_ID_HINT,
        )
    return Card(card.item, card.archived, _checked_status_field(project, configuration, needed))


async def set_status(session: GitHubSession, card: Card, status: str) -> None:
    """Move the card. GitHub has no compare-and-set, so read the card first, under the lock.

    Raises :class:`StatusNotFound` if the board lacks the status.
    """
    if status not in card.field.options:
        raise StatusNotFound(
            f"the board has no status {status!r}; it has {', '.join(map(repr, card.field.options))}", _STATUS_HINT
        )
    await session.mutate(
        SET_STATUS,
        {
            "projectId": card.field.project_id,
            "itemId": card.item.id,
            "fieldId": card.field.field_id,
            "optionId": card.field.options[status],
        },
    )


async def _first_waiting(
    session: GitHubSession,
    configuration: Configuration,
    skipped: Collection[str],
    operation: GraphQLRequest,
    variables: Mapping[str, Any],
) -> NextCard:
    """Read the pages of ``operation`` until one has a card that is waiting."""
    after, hidden = None, 0
    while True:
        page = await _fetch_page(session, configuration, operation, {**variables, "after": after})
        hidden += page.hidden
        for card in page.cards:
            item = card.item
            if item.status != configuration.target_status_column or card.archived or card.id in skipped:
                continue
            if item.content_type != REDACTED:
                return NextCard(item, hidden)
            hidden += 1
        if page.next_cursor in (None, after):
            return NextCard(None, hidden)
        after = page.next_cursor


async def _fetch_page(
    session: GitHubSession, configuration: Configuration, operation: GraphQLRequest, variables: dict[str, Any]
) -> BoardPage:
    """Return a page of the configured board. Raises an error if the board or a configured status is missing."""
    answer = await session.query(operation, _board_variables(configuration) | variables, CARDS)
    page = BoardPage.parse(answer, configuration.owner_type)
    if page is None:
        kind = "orgs" if configuration.owner_type == "organization" else "users"
        raise ProjectNotFound(
            f"the {configuration.owner_type} {configuration.organization} has no project {configuration.project_number}"
            " that the token can see",
            f"the number is in the project's address, github.com/{kind}/{configuration.organization}/projects/NUMBER;"
            f" set projectNumber in the configuration parameter, set ownerType if {configuration.organization} is"
            f" {'a person' if configuration.owner_type == 'organization' else 'an organization'}, or give the token the"
            " scope project and access to the project",
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


def _checked_status_field(
    project: Project, configuration: Configuration, needed: Collection[str | None] | None = None
) -> StatusField:
    """Return the board's status field. Raises :class:`StatusNotFound` if it lacks a status: see :func:`read_card`.

    Without this check, a filter on a status that does not exist would silently match nothing.
    """
    field = project.status_field
    if field is None:
        raise StatusNotFound(
            f'the board "{project.title}" has no single-select field "{configuration.status_field}"',
            "set statusField in the configuration parameter to the field that defines the board's columns",
        )
    required = configuration.statuses if needed is None else needed
    missing = [status for status in required if status is not None and status not in field.options]
    if missing:
        raise StatusNotFound(
            f'the board "{project.title}" has no status {", ".join(map(repr, missing))};'
            f" it has {', '.join(map(repr, field.options))}",
            _STATUS_HINT,
        )
    return field
