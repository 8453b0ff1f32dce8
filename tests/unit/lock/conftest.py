from __future__ import annotations

import pytest

from tests.support.lock_table import LockWorld


@pytest.fixture
def world() -> LockWorld:
    return LockWorld.in_memory()
