"""What was asked of the stand-in, for tests and for whoever counts requests and points."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Record:
    """One request.

    ``operation`` is the GraphQL operation's name, or ``git-upload-pack``, ``git-receive-pack``, each with ``-refs`` for
    the advertisement and ``-probe`` for the empty request that may come before it, or ``lfs-batch``, ``lfs-download``,
    ``lfs-upload``. ``status`` is 0 where no answer was sent. ``cost`` is in points, ``errors`` are the types of GraphQL
    errors, ``variables`` of a git request name its repository.
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


class Records:
    """All requests in order of their answers. Iteration sees those that were there when it began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[Record] = []

    def add(self, record: Record) -> None:
        with self._lock:
            self._records.append(record)

    def clear(self) -> None:
        with self._lock:
            self._records.clear()

    def __iter__(self) -> Iterator[Record]:
        with self._lock:
            return iter(tuple(self._records))

    def __len__(self) -> int:
        with self._lock:
            return len(self._records)

    def graphql(self, operation: str | None = None) -> tuple[Record, ...]:
        """The GraphQL requests, of one operation where it is named."""
        return tuple(each for each in self if each.kind == "graphql" and operation in (None, each.operation))

    def git(self, operation: str | None = None) -> tuple[Record, ...]:
        return tuple(each for each in self if each.kind == "git" and operation in (None, each.operation))

    @property
    def points(self) -> int:
        """What all GraphQL requests cost together."""
        return sum(each.cost for each in self.graphql())
