"""Why the service behind an agent does not work for this installation, read from what the agent itself printed.

Only an agent's own report of an error counts, in the form in which it prints one. The same words in an answer, a spec
or the output of a program prove nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_WAIT: Final = re.compile(
    r"(?:reset|try again|retry)\w*\s+(?:in|after)\s+((?:\d{1,9}(?:\.\d+)?\s*(?:d|h|m|s)\w*[\s,]*(?:and\s+)?)+)",
    re.IGNORECASE,
)
_DURATION: Final = re.compile(r"(?<![\d.])(\d{1,9}(?:\.\d+)?)\s*([dhms])", re.IGNORECASE)
_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_EPOCH: Final = re.compile(r"limit reached\|(\d{10})\b")
_PLAN: Final = re.compile(
    r"usage limit|hit your limit|credit balance|out of credits|insufficient_quota|quota exceeded|exceeded your current"
    r" quota|exhausted your (?:\w+ )?quota|exhausted your capacity|plan and billing|spend(?:ing)? (?:limit|cap)",
    re.IGNORECASE,
)
_KEY: Final = re.compile(
    r"api[_ ]key not valid|api_key_invalid|invalid (?:x-)?api[_ -]key|incorrect api key|invalid auth method"
    r"|failed to authenticate|not logged in|authentication_error",
    re.IGNORECASE,
)
_MODEL: Final = re.compile(
    r"\bmodel\b.{0,120}(?:does not exist|not found|not supported|may not exist|no access)|models/\S+ is not found",
    re.IGNORECASE | re.DOTALL,
)
_NETWORK: Final = re.compile(
    r"can't reach the api server|failed to lookup address|error sending request|connection (?:failed|refused|error)"
    r"|fetch failed|waiting for network|dns error|certificate|EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ETIMEDOUT",
    re.IGNORECASE,
)
_BUSY: Final = re.compile(r"rate limit|overloaded|high demand|too many requests|service unavailable", re.IGNORECASE)
_LONGEST: Final = 300


class Cause(StrEnum):
    """Why the agent's service does not work."""

    KEY = "key"
    """It does not accept the key."""
    PLAN = "plan"
    """What was paid for is used up."""
    BUSY = "busy"
    """It asks for fewer requests, or has too many of them."""
    MODEL = "model"
    """It does not offer the model to this key."""
    NETWORK = "network"
    """It cannot be reached."""


@dataclass(frozen=True)
class Refusal:
    """A refusal, in the agent's words. ``until`` (epoch seconds) or ``wait_seconds`` say when it ends, if not 0."""

    cause: Cause
    said: str = ""
    until: int = 0
    wait_seconds: int = 0

    @property
    def is_about_model(self) -> bool:
        """Whether another model of the same service might work."""
        return self.cause is Cause.MODEL or (self.cause is Cause.PLAN and "model" in self.said.lower())


def refusal(message: str, status: int = 0) -> Refusal | None:
    """Return what the error ``message`` of an agent means; ``None`` if it is no refusal.

    ``status`` is the HTTP status that the agent reports with it, or 0. The words decide first, because services answer
    429 for an exhausted plan, too.
    """
    cause = _cause_of_words(message) or _cause_of_status(status)
    if cause is None:
        return None
    until, wait = _EPOCH.search(message), _WAIT.search(message)
    seconds = sum(float(number) * _SECONDS[unit.lower()] for number, unit in _DURATION.findall(wait[1])) if wait else 0
    said = " ".join(message.split())[:_LONGEST]
    return Refusal(cause, said, int(until[1]) if until else 0, round(seconds))


def _cause_of_words(message: str) -> Cause | None:
    patterns = {Cause.PLAN: _PLAN, Cause.KEY: _KEY, Cause.MODEL: _MODEL, Cause.NETWORK: _NETWORK, Cause.BUSY: _BUSY}
    return next((cause for cause, pattern in patterns.items() if pattern.search(message)), None)


def _cause_of_status(status: int) -> Cause | None:
    match status:
        case 401 | 403:
            return Cause.KEY
        case 402:
            return Cause.PLAN
        case 404:
            return Cause.MODEL
        case 408 | 429:
            return Cause.BUSY
        case _ if 500 <= status < 600:
            return Cause.BUSY
    return None
