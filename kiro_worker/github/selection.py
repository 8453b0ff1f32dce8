"""Which card a run works on: the one it is pinned to, or the next in the target status; and who is told when it is not
ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from kiro_worker.errors import InvalidExecutionInput, WorkItemInvalid, WorkItemMoved, WorkItemRefused
from kiro_worker.github.board import fetch_next_card, read_card
from kiro_worker.github.readiness import validate_item

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.config import Configuration
    from kiro_worker.github.client import GitHubSession
    from kiro_worker.models import Work, WorkItem

MOST_SKIPPED: Final = 10
"""Cards a run passes over before it leaves the rest to the next tick: one run stays short, and a broken board cannot
eat the API budget.
"""


class ExecutionInput(BaseModel):
    """The execution's input. All of it is optional; an empty object is a scheduled tick."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True)

    trigger: Literal["schedule", "manual", "replay"] = "schedule"
    item_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_=-]{4,200}$")] | None = None

    @classmethod
    def parse(cls, document: object) -> Self:
        """Raises :class:`InvalidExecutionInput`, which names every key that is wrong."""
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in detail['loc']) or 'input'}: {detail['msg']}"
                for detail in error.errors()
            )
            raise InvalidExecutionInput(
                f"the execution's input is not in the contract: {problems}",
                'start it with {} for the next card, or {"trigger":"manual","itemId":"PVTI_…"} for that card',
            ) from None


async def select_work_item(
    session: GitHubSession, configuration: Configuration, request: ExecutionInput, document: Mapping[str, Any]
) -> WorkItem | None:
    """The card to work on, ``None`` when none waits.

    ``document`` is the state document: its ``item`` is there when a redriven run starts over, its ``skipped`` when
    cards of this run were rejected or locked. Raises :class:`WorkItemMoved` when the pinned card is not where it can
    be worked on.
    """
    skipped = document.get("skipped") or ()
    resumed = (document.get("item") or {}).get("id")
    pinned = resumed or request.item_id
    if pinned in skipped or len(skipped) >= MOST_SKIPPED:
        return None
    if pinned is None:
        return await fetch_next_card(session, configuration, skipped)
    card = await read_card(session, configuration, pinned)
    workable = [
        configuration.target_status_column,
        configuration.in_progress_status,
        configuration.failed_status,
        configuration.blocked_status,
    ]
    if card.archived or card.item.status not in workable:
        raise WorkItemMoved(
            f"the card {pinned} is {'archived' if card.archived else f'in {card.item.status!r}'}:"
            f" it can be worked on in {', '.join(repr(status) for status in dict.fromkeys(workable) if status)}",
            f"move the card to {configuration.target_status_column!r}; the schedule takes it from there",
        )
    return card.item


async def validate_selected(
    session: GitHubSession,
    configuration: Configuration,
    request: ExecutionInput,
    item: WorkItem,
    execution_arn: str,
) -> Work:
    """What is to be built for the selected card.

    Raises :class:`WorkItemInvalid` for a card of the queue, which is then told on the board. A card that the input
    names, or that a redrive found outside the queue, is nobody's wish but that of the person who started the run: its
    pull request may be merged and its work done since. That is :class:`WorkItemRefused`, and nothing is written.
    """
    try:
        return await validate_item(session, configuration, item, execution_arn)
    except WorkItemInvalid as error:
        if request.item_id != item.id and item.status == configuration.target_status_column:
            raise
        raise WorkItemRefused(
            f"the card {item.id} was not touched: {error.reason}",
            "as each line says, then redrive this execution; or move the card to"
            f" {configuration.target_status_column!r} when it is to be built after all, and leave it when it is done",
        ) from None
