"""The tokens that the stand-in accepts, and the rate limit of the users they belong to."""

from __future__ import annotations

import base64
import binascii
import hmac
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

POINTS_PER_HOUR: Final = 5000
CLASSIC_SCOPES: Final = ("repo", "project")


@dataclass(frozen=True)
class Token:
    """A classic token with its scopes, or a fine-grained one.

    ``scopes`` is ``None`` for a fine-grained token: it has permissions instead, and cannot access a user's projects.
    """

    value: str = field(repr=False)
    login: str
    scopes: frozenset[str] | None

    @property
    def reaches_repositories(self) -> bool:
        return self.scopes is None or "repo" in self.scopes


class Tokens:
    """All tokens, looked up by value."""

    def __init__(self) -> None:
        self._tokens: list[Token] = []

    def add(self, value: str, login: str, scopes: tuple[str, ...] | None = CLASSIC_SCOPES) -> Token:
        """Add a token. It replaces an earlier one with the same value."""
        token = Token(value, login, None if scopes is None else frozenset(scopes))
        self._tokens = [each for each in self._tokens if each.value != value] + [token]
        return token

    def remove(self, value: str) -> None:
        """Revoke a token."""
        self._tokens = [each for each in self._tokens if each.value != value]

    def find(self, value: str) -> Token | None:
        return next((each for each in self._tokens if hmac.compare_digest(each.value.encode(), value.encode())), None)

    def from_header(self, authorization: str) -> Token | None:
        """The token in an ``Authorization`` header: bearer, token, or Basic with any user name."""
        scheme, _, rest = authorization.partition(" ")
        if scheme.lower() in ("bearer", "token"):
            return self.find(rest.strip())
        if scheme.lower() == "basic":
            try:
                _, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return None
            return self.find(password)
        return None


@dataclass(frozen=True)
class Balance:
    """A rate limit as in the headers and the ``rateLimit`` field. ``reset`` is in epoch seconds."""

    limit: int
    used: int
    reset: int

    @property
    def remaining(self) -> int:
        return max(self.limit - self.used, 0)


class Budget:
    """The primary rate limit: points per hour and login. A window opens with its first request."""

    def __init__(self, limit: int = POINTS_PER_HOUR, clock: Callable[[], float] = time.time) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[int, int]] = {}

    def look(self, login: str) -> Balance:
        """The current balance of a user."""
        with self._lock:
            return self._balance(login)

    def spend(self, login: str, points: int) -> Balance | None:
        """Take points and return the new balance, or take none and return ``None`` if no points are left."""
        with self._lock:
            before = self._balance(login)
            if not before.remaining:
                return None
            self._windows[login] = (before.used + points, before.reset)
            return self._balance(login)

    def _balance(self, login: str) -> Balance:
        used, reset = self._windows.get(login, (0, 0))
        if reset <= self._clock():
            used, reset = 0, int(self._clock()) + 3600
            self._windows[login] = (used, reset)
        return Balance(self.limit, used, reset)
