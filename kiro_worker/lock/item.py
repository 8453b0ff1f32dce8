"""The lock's item in the table, whether the worker, a person or the original system wrote it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# The original system wrote milliseconds into expiresAt. Any value from 10^11 on is read as milliseconds, because in
# seconds it would be the year 5138. A value too large even for milliseconds was typed by a person: it counts as no
# fence, and as an expired lease.
_SMALLEST_MILLISECONDS: Final = 10**11
_SMALLEST_INVALID: Final = 1000 * _SMALLEST_MILLISECONDS


@dataclass(frozen=True)
class Subject:
    """What the holder works on. The next run uses it to report an abandoned card, and people to see what is running."""

    work_item_id: str = ""
    repository: str = ""
    branch: str = ""
    build_id: str = ""


NO_SUBJECT: Final = Subject()


@dataclass(frozen=True)
class Holder:
    """The holder of a lock, as recorded in its item.

    ``owner`` is empty if the lock is free. ``report_pending`` is the execution that freed the lock before its card
    showed how the run ended. ``expires_at`` is in epoch seconds.
    """

    lock_key: str
    owner: str = ""
    fence: int = 0
    expires_at: float = 0
    acquired_at: str = ""
    subject: Subject = NO_SUBJECT
    report_pending: str = ""
    item: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Holder:
        """The holder recorded in ``item``, which is DynamoDB JSON. Attributes of the wrong type count as absent."""

        def text(name: str) -> str:
            return str(item.get(name, {}).get("S", ""))

        def number(name: str) -> float:
            try:
                value = float(item.get(name, {}).get("N", 0))
            except ValueError:
                return 0
            return value if 0 <= value < _SMALLEST_INVALID else 0

        expires_at = number("expiresAt")
        return cls(
            lock_key=text("lockKey"),
            owner=text("owner"),
            fence=int(number("fence")),
            expires_at=expires_at / 1000 if expires_at >= _SMALLEST_MILLISECONDS else expires_at,
            acquired_at=text("acquiredAt"),
            subject=Subject(text("workItemId"), text("repository"), text("branch"), text("buildId")),
            report_pending=text("reportPending"),
            item=item,
        )

    def is_free_for(self, owner: str) -> bool:
        """Whether the lock is free or already belongs to ``owner``. A lock with a pending report belongs to its run."""
        return (self.owner or self.report_pending) in ("", owner)

    @property
    def acquired_timestamp(self) -> float:
        """``acquired_at`` in epoch seconds; 0 if it is not a valid time."""
        try:
            return datetime.fromisoformat(self.acquired_at).timestamp()
        except (ValueError, OverflowError):
            return 0

    def unchanged_condition(self, values: dict[str, Any]) -> str:
        """Return the condition that owner, fence and build are unchanged, and add its values to ``values``.

        It compares the attributes as they are stored, so it also works with types that only a manual edit produces.
        """
        conditions = []
        for attribute in ("owner", "fence", "buildId"):
            name = "#owner" if attribute == "owner" else attribute
            if attribute in self.item:
                values[f":expected_{attribute}"] = self.item[attribute]
                conditions.append(f"{name} = :expected_{attribute}")
            else:
                conditions.append(f"attribute_not_exists({name})")
        return " AND ".join(conditions)
