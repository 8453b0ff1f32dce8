"""The demo's configuration parameter, and the command line of its scripted agent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kiro_local.demo.board import ORGANIZATION

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIGURATION: Final[Mapping[str, Any]] = {
    "organization": ORGANIZATION,
    "repository": "shop",
    "projectNumber": 1,
    "targetStatusColumn": "For Implementation",
    "testCommand": "python3 -m unittest discover -v",
    # unittest does not measure coverage, and the gate fails if there is a threshold and no measurement.
    "coverageThreshold": None,
}
_AGENT: Final = Path(__file__).parent / "scripted_agent.py"


def agent_command(fail_once_marker: Path | None = None) -> list[str]:
    """The command of the scripted agent.

    With an empty marker file, the agent fails in its first run and notes it in the file.
    """
    command = [sys.executable, str(_AGENT)]
    return [*command, "--fail-first", str(fail_once_marker)] if fail_once_marker else command
