from __future__ import annotations

from collections.abc import Iterator

import pytest

from kiro_local.github.stand_in import StandInGitHub

TOKEN = "ghp_" + "0a1b" * 9


@pytest.fixture
def github() -> Iterator[StandInGitHub]:
    """The GitHub stand-in on a loopback port, with the worker's account."""
    with StandInGitHub() as stand_in:
        stand_in.add_token(TOKEN, "kiro-worker-bot")
        yield stand_in
