"""The project board: read a page of its cards, read one card, and move a card."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import GitHubForbidden, ProjectNotFound, StatusNotFound, WorkItemNotFound
from kiro_worker.github.answers.board import BoardPage, CardAnswer
from kiro_worker.github.queries import CARDS, CONTENT, READ_CARD, SET_STATUS
from kiro_worker.names import ANY_NAMES
from kiro_worker.outcomes import FaultOwner

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from gql import GraphQLRequest

    from kiro_worker.config.model import Configuration
    from kiro_worker.github.answers.board import Project, StatusField
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.models import WorkItem

_STORE: Final = (
    f"aws ssm put-parameter --name {ANY_NAMES.configuration_parameter} --type String --overwrite --value '{{…}}'"
)
_STATUS_HINT: Final = (
    "add the status to the board, or set one of the existing statuses in the configuration parameter"
    " (targetStatusColumn, inProgressStatus, reviewStatus, failedStatus, blockedStatus; the last two may be null):"
    f" {_STORE}"
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
        "specField": configuration.spec_field,
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
    variables = {
        "projectId": card.field.project_id,
        "itemId": card.item.id,
        "fieldId": card.field.field_id,
        "optionId": card.field.options[status],
    }
    with _board_denied():
        await session.mutate(SET_STATUS, variables)


@contextmanager
def _board_denied() -> Iterator[None]:
    """Make the operators of the installation the owner of a refusal: without the board, no card can be built."""
    try:
        yield
    except GitHubForbidden as error:
        error.owner = FaultOwner.INSTALLATION
        raise


async def fetch_page(
    session: GitHubSession, configuration: Configuration, operation: GraphQLRequest, variables: dict[str, Any]
) -> BoardPage:
    """Return a page of the configured board. Raises an error if the board or a configured status is missing."""
    with _board_denied():
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
            f" scope project and access to the project. {_STORE}",
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
        "specField": configuration.spec_field,
        "priorityField": configuration.priority_field or "",
        "byPriority": configuration.priority_field is not None,
    }


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
            f"set statusField in the configuration parameter to the field that defines the board's columns: {_STORE}",
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
