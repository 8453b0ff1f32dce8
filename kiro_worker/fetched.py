"""The answer of ``FetchWorkItem``: the card to work on, or why the run ends without one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.errors import with_remedy
from kiro_worker.passed_over import PassedOverCard, Why, counts, in_words, to_document
from kiro_worker.state import End, SkippedCard

if TYPE_CHECKING:
    from kiro_worker.config.model import Configuration
    from kiro_worker.github.next_card import NextCard
    from kiro_worker.models import WorkItem

READ_SKIPPED: Final = (
    'read each card\'s reason under "skipped" and "passedOver" in the output of FetchWorkItem, or in the comment on the'
    " card. A corrected card is taken at once if it is moved out of the target status and back"
)
MORE_CREDITS: Final = (
    'wait until midnight UTC, raise "maxCreditsPerDay" in the configuration parameter, or replay a card'
)


@dataclass(frozen=True)
class Fetched:
    """The card to work on, or the ``end`` and the ``reason`` of the run.

    ``pinned`` says that the input or a redrive named the card. ``skipped`` are the cards that this run has tried, and
    ``passed_over`` the waiting ones that it did not try; ``hidden`` counts those that the token may not see.
    ``waiting``, ``oldest_seconds`` and ``builds`` are for metrics, and ``None`` if they were not read: the cards in the
    target status, how long the oldest one has been there, and the builds that run.
    """

    item: WorkItem | None = None
    pinned: bool = False
    skipped: tuple[SkippedCard, ...] = ()
    end: End | None = None
    reason: str = ""
    passed_over: tuple[PassedOverCard, ...] = ()
    hidden: int = 0
    waiting: int | None = None
    oldest_seconds: int | None = None
    builds: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The parts that this step adds to the state document."""
        return {
            "item": self.item.to_dict() if self.item else None,
            "pinned": self.pinned,
            "skipped": [card.to_dict() for card in self.skipped],
            "end": self.end,
            "reason": self.reason,
            "passedOver": to_document(self.passed_over, self.hidden),
        }


def fetched(found: NextCard, skipped: tuple[SkippedCard, ...], configuration: Configuration, builds: int) -> Fetched:
    """The answer after the board was read. ``builds`` run already, and ``skipped`` are the cards that the run tried."""
    without_reason = Fetched(
        item=found.item,
        skipped=skipped,
        passed_over=found.passed_over,
        hidden=found.hidden,
        waiting=found.waiting,
        oldest_seconds=found.oldest_seconds,
        builds=builds,
    )
    if found.item:
        return without_reason
    end, reason = _why_no_card(found, skipped, configuration)
    return replace(without_reason, end=end, reason=reason)


def _why_no_card(found: NextCard, skipped: tuple[SkippedCard, ...], configuration: Configuration) -> tuple[End, str]:
    status = repr(configuration.target_status_column)
    board = f"on the board {configuration.organization}/{configuration.project_number}"
    numbers = counts(found.passed_over, found.hidden)
    tried = f"{len(skipped)} tried by this run" if skipped else ""
    cards = ", ".join(filter(None, [tried, in_words(numbers)]))
    rest = "; the run read only a part of the board, and the next run goes on from there" if found.cursor else ""
    if not cards:
        reason = f"no card is waiting in {status} {board}{rest}"
        return End.NOTHING_TO_DO, with_remedy(reason, f"move a card to {status}")
    reason = f"no card in {status} {board} can be built now: {cards}{rest}"
    remedies = [
        READ_SKIPPED if skipped or Why.REJECTED in numbers else "",
        "give the token access to the repositories of the cards that it cannot see" if Why.HIDDEN in numbers else "",
        MORE_CREDITS if Why.BUDGET_SPENT in numbers else "",
    ]
    return End.CARDS_PASSED_OVER, with_remedy(reason, "; ".join(filter(None, remedies)))
