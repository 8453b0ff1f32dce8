"""The records ``day#<YYYY-MM-DD>`` and ``day#<YYYY-MM-DD>#<owner/name>``: what the builds of a day have spent.

The day is the one on which a build started, in UTC: a build over midnight counts for the day before. Each build has an
attribute of its own, named by a hash of its ID, and replaces it whenever it writes. So a repeated write counts once,
and the second build of a redriven run adds up.

A build takes 26 bytes of an item, which DynamoDB limits to 400 KB: a day has room for :data:`MOST_BUILDS` builds, more
than 100 slots can build. The record of the installation fills up first. DynamoDB refuses the writes of the builds after
that, and they do not count.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_worker.records.table import RecordsTable

MOST_BUILDS: Final = 15_000
"""How many builds the record of a day has room for."""
_CREDITS: Final = "c#"


def day_key(now: float, repository: str = "") -> str:
    """The key of the record for the day of ``now``, in epoch seconds: of the installation, or of ``repository``."""
    day = f"day#{datetime.fromtimestamp(now, UTC):%Y-%m-%d}"
    # GitHub ignores case in the names of owners and repositories.
    return f"{day}#{repository.lower()}" if repository else day


def note_spending(records: RecordsTable, started: float, repository: str, build_id: str, credits_: float) -> None:
    """Record what the build has spent so far, in place of what was recorded for it before.

    ``started`` is when the build started, in epoch seconds: its day is the same in every write.
    """
    spending = {spending_attribute(build_id): _decimal(credits_)}
    for key in (day_key(started), day_key(started, repository)):
        records.update(key, spending)


def spending_attribute(build_id: str) -> str:
    """The name of the build's attribute."""
    return _CREDITS + hashlib.sha256(build_id.encode()).hexdigest()[:16]


def spent(item: Mapping[str, Any]) -> float:
    """The credits of all builds in the record ``item`` together; what a person edited badly counts as nothing."""
    return float(sum(_credits(value) for name, value in item.items() if name.startswith(_CREDITS)))


def _credits(value: Any) -> Decimal:
    try:
        number = Decimal(value["N"])
    except (KeyError, TypeError, ValueError, InvalidOperation):
        return Decimal(0)
    return number if number.is_finite() and number > 0 else Decimal(0)


def _decimal(value: float) -> Decimal:
    """``value`` without the digits that only a float has, such as those of 0.1 + 0.2."""
    return Decimal(str(round(value, 6)))
