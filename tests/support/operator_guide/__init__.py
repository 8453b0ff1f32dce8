"""The operators' guide: every problem that can occur, and what the product says about it.

``docs/how-to/troubleshoot.md`` is generated from these tables: see ``tests/unit/test_operator_guide.py``.
"""

from __future__ import annotations

from typing import Final

from tests.support.operator_guide import build, card, git_server, github, installation, platform, queue, worker
from tests.support.operator_guide.left_out import LEFT_OUT, UNTABLED
from tests.support.operator_guide.problem import Problem

PROBLEMS: Final[dict[str, tuple[Problem, ...]]] = {
    "parameter": installation.CONFIGURATION,
    "secrets": installation.SECRETS,
    "resources": installation.RESOURCES,
    "platform": platform.PLATFORM,
    "network": github.NETWORK,
    "token": github.TOKEN_PROBLEMS,
    "board": github.BOARD,
    "queue": queue.QUEUE,
    "card": card.CARD,
    "spec": card.SPEC,
    "pull request": card.PULL_REQUEST,
    "push": card.PUSHING,
    "start": build.STARTING,
    "build": build.RUNNING,
    "agent": worker.AGENT,
    "gate": worker.GATE,
    "git": git_server.SERVER,
}
"""The problems by the name of their section in the documentation."""

__all__ = ["LEFT_OUT", "PROBLEMS", "UNTABLED", "Problem"]
