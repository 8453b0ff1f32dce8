"""Who has to act on a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiro_worker.errors import ERRORS
from kiro_worker.outcomes import OUTCOMES, FaultOwner, Outcome

if TYPE_CHECKING:
    from kiro_worker.models import Failure


def owner_of(failure: Failure) -> FaultOwner | None:
    """Who has to act on ``failure``; ``None`` if no action is needed, because the lock belongs to another run."""
    if failure.owner in set(FaultOwner):
        return FaultOwner(failure.owner)
    explained = failure.explained
    # An explained platform error has its owner, too. Any other unknown name is that of a crash.
    return explained.owner or _owner_by_name(explained.name)


def _owner_by_name(name: str) -> FaultOwner | None:
    if name in set(Outcome) - {Outcome.SUCCEEDED}:
        return OUTCOMES[Outcome(name)].owner
    if error := ERRORS.get(name):
        return error.owner
    return FaultOwner.SERVICE
