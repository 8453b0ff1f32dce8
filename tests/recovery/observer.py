"""Records violations at the moment they happen, through hooks in the servers and never by polling."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from kiro_local.environment import NAMES
from kiro_local.faults import AGENT_STARTS
from kiro_worker.lock.keys import is_slot
from tests.support.world import StateHooks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiro_local.aws.builds import Build
    from kiro_local.environment import LocalEnvironment
    from kiro_local.github.stand_in import StandInGitHub

_WORK_BEGINS = "── check out"
"""A build holds the lock from this line of its log on."""


class Observer:
    """``violations`` of the rule that one build of a lock works at a time and pushes only while it holds this lock.

    ``executions`` are those that have started since the last reset, ``entries`` the states that they entered, each with
    the execution, in order, and ``with_agent`` the builds whose agent has received the spec.
    """

    def __init__(self) -> None:
        self.entered = StateHooks()
        self.violations: list[str] = []
        self.executions: list[str] = []
        self.entries: list[tuple[str, str]] = []
        self.with_agent: set[str] = set()
        self._lock = threading.Lock()
        self._working: dict[str, Build] = {}
        self._local: LocalEnvironment | None = None

    def watch(self, local: LocalEnvironment, github: StandInGitHub) -> None:
        self._local = local
        github.on_request = self._on_request

    def reset(self) -> None:
        with self._lock:
            for seen in (self.violations, self.executions, self.entries, self.with_agent, self._working):
                seen.clear()
        self.entered.clear()

    def on_history_event(self, arn: str, event: Mapping[str, Any]) -> None:
        state = event.get("stateEnteredEventDetails", {}).get("name", "")
        with self._lock:
            if event["type"] == "ExecutionStarted":
                self.executions.append(arn)
            if state:
                self.entries.append((arn, state))
        self.entered.on_history_event(arn, event)

    def has_entered(self, arn: str, state: str) -> bool:
        return (arn, state) in self.entries

    def on_build_line(self, build_id: str, line: str) -> None:
        build = self._local.aws.builds.get(build_id) if self._local else None
        if build is None:
            return
        with self._lock:
            if AGENT_STARTS in line:
                self.with_agent.add(build_id)
            if _WORK_BEGINS not in line:
                return
            others = [other for other in self._working_builds() if _shared_locks(build, other)]
            self._working[build_id] = build
        if others:
            together = ", ".join(other.facts.build_id for other in (build, *others))
            self.violations.append(f"two builds work at once under one lock: {together}")

    def _working_builds(self) -> list[Build]:
        return [build for build in self._working.values() if not build.run.finished.is_set()]

    def _on_request(self, operation: str) -> None:
        local = self._local
        if local is None or operation != "git-receive-pack":
            return
        items = local.client("dynamodb").scan(TableName=NAMES.locks_table, ConsistentRead=True)["Items"]
        owners = {item["owner"]["S"] for item in items if "owner" in item and not is_slot(item["lockKey"]["S"])}
        with self._lock:
            pushers = {variable_of(build, "EXECUTION_ARN") for build in self._working_builds()}
        # A request does not say which build it comes from.
        if not pushers or not pushers <= owners:
            self.violations.append(f"a push by {pushers} while locks are held by {owners or 'nobody'}")


def variable_of(build: Build, name: str) -> str:
    """The variable ``name`` with which the run started the build."""
    variables = build.request.get("environmentVariablesOverride", ())
    return next((str(variable["value"]) for variable in variables if variable["name"] == name), "")


def _shared_locks(first: Build, second: Build) -> set[str]:
    """The lock and the slot that both builds need."""
    needed = ({variable_of(build, name) for name in ("LOCK_KEY", "LOCK_SLOT")} for build in (first, second))
    return set.intersection(*needed) - {""}
