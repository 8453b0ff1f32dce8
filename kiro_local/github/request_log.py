"""The log of every request that the stand-in answered, for tests and benchmarks that count requests and points."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class LoggedRequest:
    """One request.

    ``operation`` is the name of the GraphQL operation; or ``git-upload-pack`` or ``git-receive-pack``, with the suffix
    ``-refs`` for the ref advertisement and ``-probe`` for the empty request that may precede the real one; or
    ``lfs-batch``, ``lfs-download`` or ``lfs-upload``; or ``compare``, the only request to REST. ``status`` is 0 if no
    answer was sent. ``cost`` is in points, ``errors`` holds the types of the GraphQL errors, and the ``variables`` of a
    git or REST request name its repository.
    """

    kind: str
    operation: str
    variables: Mapping[str, Any]
    login: str
    status: int
    cost: int = 0
    errors: tuple[str, ...] = ()
    fault: str = ""
    at: float = field(default_factory=time.time)


class RequestLog:
    """All requests, in the order of their answers. Iterating yields those that were logged when the iteration began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[LoggedRequest] = []

    def add(self, request: LoggedRequest) -> None:
        with self._lock:
            self._requests.append(request)

    def clear(self) -> None:
        with self._lock:
            self._requests.clear()

    def __iter__(self) -> Iterator[LoggedRequest]:
        with self._lock:
            return iter(tuple(self._requests))

    def __len__(self) -> int:
        with self._lock:
            return len(self._requests)

    def graphql(self, operation: str | None = None) -> tuple[LoggedRequest, ...]:
        """The GraphQL requests: all of them, or those of one operation."""
        return tuple(each for each in self if each.kind == "graphql" and operation in (None, each.operation))

    def git(self, operation: str | None = None) -> tuple[LoggedRequest, ...]:
        """The git and LFS requests: all of them, or those of one operation."""
        return tuple(each for each in self if each.kind == "git" and operation in (None, each.operation))

    @property
    def points(self) -> int:
        """The total cost of all GraphQL requests."""
        return sum(each.cost for each in self.graphql())
