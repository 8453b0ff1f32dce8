"""The card that a run is pinned to, and what to build for a card that was selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from kiro_worker.errors import InvalidExecutionInput, WorkItemInvalid, WorkItemMoved, WorkItemRefused
from kiro_worker.github.board import managed_statuses, read_card
from kiro_worker.github.readiness import validate_item
from kiro_worker.state import HOW_TO_START

if TYPE_CHECKING:
    from kiro_worker.config.model import Configuration
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.github.readiness import ChooseMachine, ReadRun
    from kiro_worker.models import Work, WorkItem


class ExecutionInput(BaseModel):
    """The execution's input. Every key is optional; an empty object is a scheduled tick.

    The trigger ``chain`` is a run that another run started, so that the queue does not wait for a tick.
    """

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True)

    trigger: Literal["schedule", "chain", "manual", "replay"] = "schedule"
    item_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_=-]{4,200}$")] | None = None

    @classmethod
    def parse(cls, document: object) -> Self:
        """The typed form of ``document``. Raises :class:`InvalidExecutionInput`, which names every wrong key."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in detail['loc']) or 'input'}: {detail['msg']}"
                for detail in error.errors()
            )
            raise InvalidExecutionInput(f"the execution's input is invalid: {problems}", HOW_TO_START) from None


async def read_pinned_card(session: GitHubSession, configuration: Configuration, item_id: str) -> WorkItem:
    """The card that an input or a redrive names.

    Raises :class:`WorkItemMoved` if its status does not allow work on it.
    """
    card = await read_card(session, configuration, item_id)
    workable = managed_statuses(configuration)
    if card.archived or card.item.status not in workable:
        raise WorkItemMoved(
            f"the card {item_id} is {'archived' if card.archived else f'in {card.item.status!r}'},"
            f" but it can be worked on only in {', '.join(map(repr, workable))}",
            f"move the card to {configuration.target_status_column!r}; the schedule then starts a run for it",
        )
    return card.item


async def validate_selected(
    session: GitHubSession,
    configuration: Configuration,
    request: ExecutionInput,
    item: WorkItem,
    read_run: ReadRun,
    choose_machine: ChooseMachine,
) -> Work:
    """What to build for the selected card. ``read_run`` returns the record of this execution.

    ``choose_machine`` returns the machine that the repository's settings choose.

    Raises :class:`WorkItemInvalid` for a card from the queue, which is then rejected on the board. If the input names
    the card, or a redrive found it outside the queue, its pull request may be merged and its work done by now, so that
    only the person who started the run needs to know. In that case, :class:`WorkItemRefused` is raised and nothing is
    written.
    """
    try:
        return await validate_item(session, configuration, item, read_run, choose_machine)
    except WorkItemInvalid as error:
        if request.item_id != item.id and item.status == configuration.target_status_column:
            raise
        raise WorkItemRefused(
            f"the card {item.id} was not touched: {error.reason}",
            "follow the instruction on each line, then redrive this execution; or move the card to"
            f" {configuration.target_status_column!r} if it still has to be built, or leave it if its work is done",
        ) from None
