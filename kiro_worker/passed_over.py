"""The waiting cards that a run does not take, and why: data for its output, its metrics and the operators."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from kiro_worker.document import Document
from kiro_worker.redaction import shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MOST_CARDS: Final = 50
"""How many cards the state document names, because Step Functions limits it to 256 KiB. The counts include all."""
_LONGEST_DETAIL: Final = 300
"""The characters of a card's detail in the state document. All reasons together leave room for the rest of the run."""


class Why(StrEnum):
    """Why a waiting card cannot be built now, as a run's output and the metric's dimension name it."""

    LOCKED = "Locked"
    """Another execution holds the lock of its repository or branch."""
    REJECTED = "Rejected"
    """A run has rejected it a short while ago, and nobody has moved it since."""
    BUDGET_SPENT = "BudgetSpent"
    """Its repository has spent the day's credits."""
    HIDDEN = "Hidden"
    """The token cannot see its issue or pull request."""


_IN_WORDS: Final[Mapping[Why, str]] = {
    Why.LOCKED: "{} behind a lock",
    Why.REJECTED: "{} rejected a short while ago and not moved since",
    Why.BUDGET_SPENT: "{} without credits until tomorrow",
    Why.HIDDEN: "{} that the token cannot see",
}


@dataclass(frozen=True)
class PassedOverCard(Document):
    """A waiting card that cannot be built now. ``detail`` names the lock or the budget, or says why it was rejected."""

    item: str
    why: Why
    detail: str = ""


def counts(cards: Collection[PassedOverCard], hidden: int = 0) -> dict[Why, int]:
    """How many cards there are by reason, without the reasons that none has. ``hidden`` have no ID."""
    found = Counter(card.why for card in cards) + Counter({Why.HIDDEN: hidden})
    return {why: found[why] for why in Why if found[why]}


def in_words(numbers: Mapping[Why, int]) -> str:
    """``11 behind a lock, 2 rejected a short while ago and not moved since``."""
    return ", ".join(_IN_WORDS[why].format(number) for why, number in numbers.items())


def to_document(cards: Collection[PassedOverCard], hidden: int = 0) -> dict[str, Any]:
    """The JSON form in the state document: the counts of all cards, and the first cards themselves."""
    first = [replace(card, detail=shortened(card.detail, _LONGEST_DETAIL)) for card in list(cards)[:MOST_CARDS]]
    return {"counts": counts(cards, hidden), "cards": [card.to_dict() for card in first]}
