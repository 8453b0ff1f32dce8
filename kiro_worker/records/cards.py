"""The record ``card#<item>``: why the card was last passed over, and which of its failures were tried again.

After a failure of a service, a card gets one more attempt per head commit, however often its run is redriven or the
card is moved back, because every attempt can cost an agent run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.records.table import number, text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from kiro_worker.records.table import RecordsTable

_LONGEST_REASON: Final = 2000


@dataclass(frozen=True)
class Rejection:
    """A run passed the card over at the time ``at``, in epoch seconds, for ``reason``.

    ``status_updated_at`` is what the card that the run selected said about its last move; empty if that is not known.
    """

    at: int
    reason: str
    status_updated_at: str = ""


def claim_repeat(records: RecordsTable, work_item_id: str, commit: str, attempt: str) -> bool:
    """Whether the card at ``commit`` gets another attempt after ``attempt``, which failed through no fault of the card.

    ``attempt`` identifies what failed: a build, or a run and its redrive. It is recorded first, so that the answer for
    the same attempt stays the same. For any other attempt at this commit, the answer is no.
    """
    return records.claim(card_key(work_item_id), f"repeated#{commit}", attempt)


def note_rejection(records: RecordsTable, work_item_id: str, reason: str, status_updated_at: str = "") -> None:
    """Record that a run passed the card over now."""
    records.update_if(
        card_key(work_item_id),
        {
            "rejectedAt": records.now(),
            "rejectedFor": reason[:_LONGEST_REASON],
            "rejectedStatusUpdatedAt": status_updated_at,
        },
        expires=True,
    )


def read_rejections(records: RecordsTable, work_item_ids: Collection[str]) -> Mapping[str, Rejection]:
    """The last rejection of each card that has one, by the card's ID. Reads at most 100 cards."""
    return rejections_in(records.read_many([card_key(work_item_id) for work_item_id in work_item_ids]))


def card_key(work_item_id: str) -> str:
    """The key of the card's record."""
    return f"card#{work_item_id}"


def rejections_in(found: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Rejection]:
    """The rejections in ``found``, which are items of the records table by key, by the card's ID."""
    return {
        key.removeprefix("card#"): Rejection(
            number(item, "rejectedAt"), text(item, "rejectedFor"), text(item, "rejectedStatusUpdatedAt")
        )
        for key, item in found.items()
        if key.startswith("card#") and "rejectedAt" in item
    }
