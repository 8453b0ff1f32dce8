"""The record ``card#<item>``: which of the card's builds are repeated because CodeBuild itself failed.

A card gets one such repetition per head commit, however often its run is redriven or the card is moved back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kiro_worker.records.table import RecordsTable


def claim_repeat(records: RecordsTable, work_item_id: str, commit: str, build_id: str) -> bool:
    """Whether the build ``build_id`` of the card at ``commit``, which CodeBuild failed, is to be repeated.

    It is noted first: the answer for the same build is always the same, and for any other build at this commit no.
    """
    return records.claim(f"card#{work_item_id}", f"repeated#{commit}", build_id)
