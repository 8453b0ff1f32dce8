"""What the held locks mean for the queue: whether any run can start, and which cards cannot be built now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiro_worker.lock.keys import BASE_KEY, is_slot, lock_key, slot_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kiro_worker.config.model import Configuration
    from kiro_worker.lock.item import Holder
    from kiro_worker.models import WorkItem


@dataclass(frozen=True)
class Occupancy:
    """The locks and slots that executions hold, by key; :func:`occupancy` makes one.

    A holder that ended a moment ago still counts, and a card that is locked a moment later does not: only AcquireLock
    decides. Until then, this keeps runs from spending requests on cards that they cannot build.
    """

    configuration: Configuration
    held: Mapping[str, Holder]

    @property
    def builds(self) -> int:
        """The number of builds that run or are about to: the slots in use, or the locks if builds are not limited.

        Slots beyond a limit that was lowered count, too, until their builds have ended.
        """
        has_slots = bool(slot_keys(self.configuration))
        return sum(is_slot(key) == has_slots for key in self.held)

    @property
    def obstacle(self) -> str:
        """Why no run can start now; empty if one can."""
        if self.configuration.lock_scope == "environment":
            return f"the lock {BASE_KEY} is held by {_owner(self.held[BASE_KEY])}" if BASE_KEY in self.held else ""
        slots = slot_keys(self.configuration)
        if slots and all(key in self.held for key in slots):
            return f"all {len(slots)} slots for concurrent builds are taken"
        return ""

    def lock_of(self, item: WorkItem) -> str:
        """The held lock that ``item`` needs; empty if it is free, or if it is not known yet which one that is.

        Without a branch on the card, ValidateWorkItem finds out which branch it is about. Such a card counts as locked
        only while a run is about this very card.
        """
        scope = self.configuration.lock_scope
        if item.repository and scope != "environment" and (item.branch or scope == "repository"):
            needed = _regardless_of_case(lock_key(self.configuration, item.repository, item.branch))
            if needed in self.held:
                return needed
        return next((key for key, holder in self.held.items() if holder.subject.work_item_id == item.id), "")


def occupancy(configuration: Configuration, holders: Iterable[Holder], execution: str) -> Occupancy:
    """What ``holders`` occupy, except for what ``execution`` itself holds."""
    others = [holder for holder in holders if (holder.owner or holder.report_pending) != execution]
    return Occupancy(configuration, {_regardless_of_case(holder.lock_key): holder for holder in others})


def _owner(holder: Holder) -> str:
    return holder.owner or f"{holder.report_pending}, whose card is not reported yet"


def _regardless_of_case(key: str) -> str:
    """``key`` with the repository in lower case, because names of repositories on GitHub are case-insensitive."""
    base, *repository = key.split("#", 2)
    return "#".join([base, *(part.lower() if index == 0 else part for index, part in enumerate(repository))])
