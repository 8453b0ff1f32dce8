"""The lock's item in the table, as our writes leave it and as people or an earlier system may have left it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Seconds from here on are milliseconds: the original system wrote those into expiresAt. 10^11 seconds is the year 5138.
# What no clock gives in milliseconds either is a person's edit: it counts as no fence, and as expired.
_MILLISECONDS_FROM: Final = 10**11
_NO_TIME_FROM: Final = 1000 * _MILLISECONDS_FROM


@dataclass(frozen=True)
class Subject:
    """What the holder works on: attributes for people who look at the item."""

    work_item_id: str = ""
    repository: str = ""
    branch: str = ""
    build_id: str = ""


NOBODY: Final = Subject()


@dataclass(frozen=True)
class Holder:
    """The lock item as it stands. ``owner`` is empty when the lock is free, ``expires_at`` is epoch seconds.
    ``report_pending`` is the execution that freed it and could not tell its card how it ended.
    """

    lock_key: str
    owner: str = ""
    fence: int = 0
    expires_at: float = 0
    acquired_at: str = ""
    subject: Subject = NOBODY
    report_pending: str = ""
    item: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Holder:
        """Of an item in DynamoDB's own JSON; tolerates items that people or the original system wrote."""

        def text(name: str) -> str:
            return str(item.get(name, {}).get("S", ""))

        def number(name: str) -> float:
            try:
                value = float(item.get(name, {}).get("N", 0))
            except ValueError:
                return 0
            return value if 0 <= value < _NO_TIME_FROM else 0

        expires_at = number("expiresAt")
        return cls(
            lock_key=text("lockKey"),
            owner=text("owner"),
            fence=int(number("fence")),
            expires_at=expires_at / 1000 if expires_at >= _MILLISECONDS_FROM else expires_at,
            acquired_at=text("acquiredAt"),
            subject=Subject(text("workItemId"), text("repository"), text("branch"), text("buildId")),
            report_pending=text("reportPending"),
            item=item,
        )

    @property
    def acquired_instant(self) -> float:
        """``acquired_at`` in epoch seconds; 0 when it is no time."""
        try:
            return datetime.fromisoformat(self.acquired_at).timestamp()
        except (ValueError, OverflowError):
            return 0

    def unchanged(self, values: dict[str, Any]) -> str:
        """The condition that owner, fence and build still are what was seen here, whatever types a person's edit gave
        them; their values go into ``values``.
        """
        conditions = []
        for attribute in ("owner", "fence", "buildId"):
            name = "#owner" if attribute == "owner" else attribute
            if attribute in self.item:
                values[f":seen_{attribute}"] = self.item[attribute]
                conditions.append(f"{name} = :seen_{attribute}")
            else:
                conditions.append(f"attribute_not_exists({name})")
        return " AND ".join(conditions)
