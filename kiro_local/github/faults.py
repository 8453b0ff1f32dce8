"""What can be made to go wrong, for how long and for whom.

In process through ``StandInGitHub.faults``; from another one over HTTP, for instance to see what a run makes of it::

    curl -X POST $URL/_stand_in/faults -H 'content-type: application/json' \\
        -d '{"kind": "secondary_limit", "operation": "FetchWorkItem", "times": 2, "seconds": 5}'
    curl $URL/_stand_in/faults                # those that wait to happen
    curl -X DELETE $URL/_stand_in/faults      # none any more
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

GIT: Final = "git"
"""The ``operation`` of a fault that takes every git request; a single kind goes by the name it has in the records."""


class FaultKind(StrEnum):
    UNAUTHORIZED = "unauthorized"
    """401, as for a token that was revoked."""
    INSUFFICIENT_SCOPES = "insufficient_scopes"
    """As for a token that has the scope ``repo`` only; for git 403."""
    FORBIDDEN = "forbidden"
    """200 with an error of the type FORBIDDEN; for git 403."""
    RATE_LIMITED = "rate_limited"
    """200 with an error and ``x-ratelimit-remaining: 0``; ``seconds`` until the reset. For git 429."""
    SECONDARY_LIMIT = "secondary_limit"
    """``status`` 403 or 200 with ``retry-after: seconds``, without it where ``seconds`` is 0."""
    BAD_GATEWAY = "bad_gateway"
    """502 with a page of HTML."""
    SLOW = "slow"
    """The right answer, ``seconds`` later."""
    RESET = "reset"
    """The connection is reset; nothing was done."""
    LOST_ANSWER = "lost_answer"
    """Everything was done; then the connection is reset."""


@dataclass(frozen=True)
class Fault:
    """What happens to whom: ``operation`` names a GraphQL or git operation, ``git`` all of git, ``None`` all.

    ``times`` is how many requests it takes, ``None`` until it is cleared.
    """

    kind: FaultKind
    operation: str | None = None
    times: int | None = 1
    seconds: float = 0
    status: int = 403

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Fault:
        """:class:`ValueError` where the document is not a fault."""
        unknown = set(document) - set(_TYPES)
        if unknown:
            raise ValueError(f"not a fault: it has no {sorted(unknown)}, but {sorted(_TYPES)}")
        for key, value in document.items():
            if not isinstance(value, _TYPES[key]) or isinstance(value, bool):
                raise ValueError(f"not a fault: {key} cannot be {value!r}")
        return cls(**{**document, "kind": FaultKind(document.get("kind", ""))})

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "kind": str(self.kind)}

    def takes(self, operation: str) -> bool:
        return self.operation in (None, operation) or (self.operation == GIT and operation.startswith("git-"))


_TYPES: Final[Mapping[str, Any]] = {
    "kind": str,
    "operation": str | None,
    "times": int | None,
    "seconds": int | float,
    "status": int,
}


class Faults:
    """Those that wait to happen, oldest first. One request takes at most one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(
        self,
        kind: FaultKind | str,
        operation: str | None = None,
        *,
        times: int | None = 1,
        seconds: float = 0,
        status: int = 403,
    ) -> None:
        with self._lock:
            self._waiting.append(Fault(FaultKind(kind), operation, times, seconds, status))

    def add_fault(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def waiting(self) -> tuple[Fault, ...]:
        with self._lock:
            return tuple(self._waiting)

    def take(self, operation: str) -> Fault | None:
        """The fault of this request, counted down."""
        with self._lock:
            for place, fault in enumerate(self._waiting):
                if fault.takes(operation):
                    if fault.times is not None:
                        left = replace(fault, times=fault.times - 1)
                        self._waiting[place : place + 1] = [left] if left.times else []
                    return fault
        return None
