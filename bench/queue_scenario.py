"""What the simulation of the queue starts from: the workflow, a configuration, a queue of cards, and a run."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.queue_parameters import Latencies
from kiro_local.aws.jsonata import evaluate
from kiro_worker.config.model import Configuration
from kiro_worker.lock.keys import BASE_KEY
from kiro_worker.state import StateDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.queue_services import SimulatedCard

WORKFLOW: Final = json.loads((Path(__file__).parents[1] / "statemachine" / "work_item.asl.json").read_text("utf-8"))
EPOCH: Final = 1_782_864_000.0
"""When the simulation starts, in epoch seconds: a midnight in UTC."""
LEASE_SECONDS: Final = WORKFLOW["TimeoutSeconds"] + 300


def configured(**changes: Any) -> Configuration:
    """A configuration with a status for each step of a card."""
    document = {
        "organization": "acme",
        "repository": "shop",
        "projectNumber": 1,
        "targetStatusColumn": "Ready",
        "failedStatus": "Failed",
    }
    return Configuration.model_validate(document | changes)


@dataclass(frozen=True)
class Scenario:
    """``chains`` says whether runs start other runs. It ends with the last card, or once ``builds`` builds started."""

    cards: Sequence[SimulatedCard]
    configuration: Configuration
    chains: bool = True
    schedule_minutes: float = 5
    first_tick: float = 0
    builds: int | None = None
    latencies: Latencies = field(default_factory=Latencies)


@dataclass
class SimulatedRun:
    """A run, with its state document. ``states`` are the names of those that it has entered."""

    arn: str
    trigger: str
    document: StateDocument = field(default_factory=StateDocument)
    end: str | None = None
    owner: str = ""
    is_reported: bool = False
    states: list[str] = field(default_factory=list)

    def for_choice(self) -> dict[str, Any]:
        """What the conditions of the workflow look at."""
        document = self.document
        lease = document.lease
        parts: dict[str, Any] = {"item": {} if document.item else None, "end": self.end, "repeat": False}
        if lease:
            # Every narrower key counts as the same, so that the conditions are evaluated once.
            parts["lease"] = {"lockKey": lease.lock_key if lease.lock_key == BASE_KEY else f"{BASE_KEY}#narrower"}
        if document.failure:
            parts["failure"] = {"owner": self.owner, "state": document.failure.state}
        if self.is_reported:
            parts["report"] = {}
        return parts


@cache
def choose(name: str, document: str) -> str:
    """The state that a Choice leads to."""
    bindings = {"states": {"input": json.loads(document)}}
    state = WORKFLOW["States"][name]
    for choice in state["Choices"]:
        if evaluate(choice["Condition"], bindings):
            return str(choice["Next"])
    return str(state["Default"])
