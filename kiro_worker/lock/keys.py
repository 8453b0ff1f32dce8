"""The keys of the table's items: a card's lock, by ``lockScope``, and the slots of ``maxConcurrentBuilds``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kiro_worker.config.model import Configuration

BASE_KEY: Final = "work-item-processor-lock"
# A slot's key cannot collide with a repository's key, which always contains the slash of owner/name.
_SLOT: Final = re.compile(rf"{BASE_KEY}#slot-\d+")


def lock_key(configuration: Configuration, repository: str, branch: str) -> str:
    """The key of the lock that covers ``branch`` of ``repository``."""
    match configuration.lock_scope:
        case "environment":
            return BASE_KEY
        case "repository":
            return f"{BASE_KEY}#{repository}"
        case "branch":
            return f"{BASE_KEY}#{repository}#{branch}"


def slot_keys(configuration: Configuration) -> tuple[str, ...]:
    """The keys of the slots; empty without ``maxConcurrentBuilds``, or if a single lock covers everything."""
    if configuration.lock_scope == "environment" or configuration.max_concurrent_builds is None:
        return ()
    return tuple(f"{BASE_KEY}#slot-{number}" for number in range(1, configuration.max_concurrent_builds + 1))


def is_of_branch(key: str) -> bool:
    """Whether the key is that of a branch's lock, of which there may be any number."""
    return key.count("#") > 1


def is_slot(key: str) -> bool:
    return _SLOT.fullmatch(key) is not None
