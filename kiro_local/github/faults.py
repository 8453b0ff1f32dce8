"""The faults that can be injected into the stand-in, for a number of requests and for some or all operations.

In the same process, use ``StandInGitHub.faults``. From another process, for instance to watch a run recover::

    curl -X POST $URL/_stand_in/faults -H 'content-type: application/json' \\
        -d '{"kind": "secondary_limit", "operation": "FetchWorkItem", "times": 2, "seconds": 5}'
    curl $URL/_stand_in/faults                # list the pending faults
    curl -X DELETE $URL/_stand_in/faults      # remove them all
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

GIT: Final = "git"
"""The ``operation`` that matches every git request. For one kind of git request, use its name in the request log."""


class FaultKind(StrEnum):
    UNAUTHORIZED = "unauthorized"
    """401, as for a revoked token."""
    INSUFFICIENT_SCOPES = "insufficient_scopes"
    """The answer for a token that has only the scope ``repo``; 403 for git."""
    FORBIDDEN = "forbidden"
    """200 with an error of type FORBIDDEN; 403 for git."""
    RATE_LIMITED = "rate_limited"
    """200 with an error and ``x-ratelimit-remaining: 0``, reset after ``seconds``; 429 for git."""
    SECONDARY_LIMIT = "secondary_limit"
    """``status`` (403 or 200) with ``retry-after: seconds``, or without that header if ``seconds`` is 0."""
    SINGLE_SIGN_ON = "single_sign_on"
    """403 for a token that is not authorized for the organization's single sign-on; git only."""
    NOT_FOUND = "not_found"
    """404, as for a repository that the token may not see; git only."""
    SERVER_ERROR = "server_error"
    """``status``, such as 500 or 503, with a line of text; git only."""
    HANG_UP = "hang_up"
    """The connection is closed in the middle of the answer; git only."""
    BAD_GATEWAY = "bad_gateway"
    """502 with an HTML page."""
    SLOW = "slow"
    """The right answer, ``seconds`` late."""
    RESET = "reset"
    """The connection is reset before anything is done."""
    LOST_ANSWER = "lost_answer"
    """The connection is reset after everything is done."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    ``operation`` names a GraphQL or git operation; ``git`` matches every git request and ``None`` every request.
    ``times`` is the number of requests it affects; ``None`` means until it is cleared.
    """

    kind: FaultKind
    operation: str | None = None
    times: int | None = 1
    seconds: float = 0
    status: int = 403

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Fault:
        """Parse a fault; raises :class:`ValueError` if a key or a value is invalid."""
        if unknown := set(document) - set(_TYPES):
            raise ValueError(f"unknown keys in the fault: {sorted(unknown)}; the keys are {sorted(_TYPES)}")
        for key, value in document.items():
            if not isinstance(value, _TYPES[key]) or isinstance(value, bool):
                raise ValueError(f"invalid value in the fault: {key} cannot be {value!r}")
        return cls(**{**document, "kind": FaultKind(document.get("kind", ""))})

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "kind": str(self.kind)}

    def matches(self, operation: str) -> bool:
        return self.operation in (None, operation) or (self.operation == GIT and operation.startswith("git-"))


_TYPES: Final[Mapping[str, Any]] = {
    "kind": str,
    "operation": str | None,
    "times": int | None,
    "seconds": int | float,
    "status": int,
}


class Faults:
    """The pending faults, oldest first. Each request is affected by at most one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[Fault] = []

    def add(
        self,
        kind: FaultKind | str,
        operation: str | None = None,
        *,
        times: int | None = 1,
        seconds: float = 0,
        status: int = 403,
    ) -> None:
        self.add_fault(Fault(FaultKind(kind), operation, times, seconds, status))

    def add_fault(self, fault: Fault) -> None:
        with self._lock:
            self._pending.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._pending.clear()

    def pending(self) -> tuple[Fault, ...]:
        with self._lock:
            return tuple(self._pending)

    def take(self, operation: str) -> Fault | None:
        """The fault for this request, if any, which now has one request fewer to affect."""
        with self._lock:
            for index, fault in enumerate(self._pending):
                if fault.matches(operation):
                    if fault.times is not None:
                        remaining = replace(fault, times=fault.times - 1)
                        self._pending[index : index + 1] = [remaining] if remaining.times else []
                    return fault
        return None
