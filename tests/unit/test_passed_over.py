"""The passed-over cards in the state document, which Step Functions limits to 256 KiB."""

from __future__ import annotations

import json

from kiro_worker.passed_over import MOST_CARDS, PassedOverCard, Why, to_document

LARGEST_DOCUMENT = 256 * 1024


def test_long_reasons_leave_room_for_the_rest_of_the_document() -> None:
    longest = "\N{EARTH GLOBE EUROPE-AFRICA}" * 2000
    cards = [PassedOverCard(f"PVTI_{number}", Why.REJECTED, longest) for number in range(2 * MOST_CARDS)]
    document = to_document(cards)
    assert document["counts"] == {"Rejected": 2 * MOST_CARDS}
    assert len(document["cards"]) == MOST_CARDS
    assert document["cards"][0]["detail"].endswith("…")
    assert len(json.dumps(document, ensure_ascii=False).encode()) < LARGEST_DOCUMENT / 3


def test_short_reason_is_complete() -> None:
    [card] = to_document([PassedOverCard("PVTI_1", Why.LOCKED, "the-lock")])["cards"]
    assert card == {"item": "PVTI_1", "why": "Locked", "detail": "the-lock"}
