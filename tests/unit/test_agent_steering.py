"""What an agent reads as instructions is guarded, unless the operators have chosen what is."""

from __future__ import annotations

import posixpath
from typing import Any

import pytest

from kiro_worker.agent_steering import STEERING
from kiro_worker.config.model import Configuration
from kiro_worker.runner.agent.adapters import ADAPTERS

REQUIRED = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Ready"}


def guarded(agent: str, **keys: Any) -> tuple[str, ...]:
    return Configuration.model_validate({**REQUIRED, **keys}).for_agent(agent).everything_guarded


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_agents_files_are_guarded(name: str) -> None:
    default = guarded("command")

    assert STEERING[name]
    assert set(STEERING[name]) | set(default) == set(guarded(name))
    for path in STEERING[name]:
        assert path == posixpath.normpath(path).strip("/")


def test_only_the_configured_agents_files_are_guarded() -> None:
    assert ".gemini" in guarded("gemini")
    assert ".gemini" not in guarded("claude")


def test_configured_paths_replace_the_agents() -> None:
    assert guarded("claude", guardedPaths=["CODEOWNERS"]) == ("CODEOWNERS",)
    assert guarded("claude", guardedPaths=[]) == ()
