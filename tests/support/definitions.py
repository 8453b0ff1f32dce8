"""The deployed definitions of the state machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
MACHINES: Final = ("work_item", "clean_up")


def definition(machine: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "statemachine" / f"{machine}.asl.json").read_text("utf-8"))
    return loaded


def states(machine: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = definition(machine)["States"]
    return found


def tasks(machine: str) -> dict[str, dict[str, Any]]:
    return {name: state for name, state in states(machine).items() if state["Type"] == "Task"}


def steps(machine: str) -> dict[str, dict[str, Any]]:
    """The Task states that invoke a Lambda function."""
    return {name: state for name, state in tasks(machine).items() if "lambda" in state["Resource"]}
