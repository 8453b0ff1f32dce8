from __future__ import annotations

import pytest

from kiro_worker.config.model import Configuration, LockScope
from kiro_worker.lock.keys import BASE_KEY, is_slot, lock_key, slot_keys


def configuration(scope: LockScope, builds: int | None = None) -> Configuration:
    document = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Ready"}
    return Configuration.model_validate(document | {"lockScope": scope, "maxConcurrentBuilds": builds})


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        ("environment", "work-item-processor-lock"),
        ("repository", "work-item-processor-lock#acme/shop"),
        ("branch", "work-item-processor-lock#acme/shop#feature/x"),
    ],
)
def test_key_follows_lock_scope(scope: LockScope, key: str) -> None:
    assert lock_key(configuration(scope), "acme/shop", "feature/x") == key


@pytest.mark.parametrize(
    ("scope", "builds", "numbers"),
    [("environment", 3, ()), ("repository", None, ()), ("repository", 1, (1,)), ("branch", 3, (1, 2, 3))],
)
def test_slots_are_numbered_from_one(scope: LockScope, builds: int | None, numbers: tuple[int, ...]) -> None:
    assert slot_keys(configuration(scope, builds)) == tuple(f"{BASE_KEY}#slot-{number}" for number in numbers)


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (f"{BASE_KEY}#slot-1", True),
        (f"{BASE_KEY}#slot-100", True),
        (BASE_KEY, False),
        (f"{BASE_KEY}#slot-", False),
        (f"{BASE_KEY}#slot-1#x", False),
        (f"{BASE_KEY}#acme/slot-1", False),
        (f"x{BASE_KEY}#slot-1", False),
    ],
)
def test_only_numbered_keys_are_slots(key: str, slot: bool) -> None:
    assert is_slot(key) is slot
