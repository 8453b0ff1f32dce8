"""The demo's configuration parameter, and the command line of its scripted agent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kiro_local.demo.board import ORGANIZATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CONFIGURATION: Final[Mapping[str, Any]] = {
    "organization": ORGANIZATION,
    "repository": "shop",
    "projectNumber": 1,
    "targetStatusColumn": "For Implementation",
}
_SETTINGS: Final[Mapping[str, Any]] = {
    "setup": [],
    "test": ["python3", "-m", "unittest", "discover", "-v"],
    "coverage": {"threshold": None},
}
_AGENT: Final = Path(__file__).parent / "scripted_agent.py"


def demo_configuration(agent: Sequence[str]) -> dict[str, Any]:
    """The parameter of the demo, whose agent is the program ``agent``."""
    return {**CONFIGURATION, "repositoryDefaults": {**_SETTINGS, "agent": {"command": list(agent)}}}


def agent_command(fail_once_marker: Path | None = None) -> list[str]:
    """The command of the scripted agent.

    With an empty marker file, the agent fails in its first run and notes it in the file.
    """
    command = [sys.executable, str(_AGENT)]
    return [*command, "--fail-first", str(fail_once_marker)] if fail_once_marker else command
