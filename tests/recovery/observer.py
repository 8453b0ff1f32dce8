"""Records violations at the moment they happen, through hooks in the servers and never by polling."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.support.world import StateHooks

if TYPE_CHECKING:
    from kiro_local.aws.builds import Build
    from kiro_local.environment import LocalEnvironment
    from kiro_local.github.stand_in import StandInGitHub

_WORK_BEGINS = "── check out"
"""A build holds the lock from this line of its log on."""


class Observer:
    """``violations`` of the rule that one build works at a time and pushes only while it holds the lock."""

    def __init__(self) -> None:
        self.entered = StateHooks()
        self.violations: list[str] = []
        self._lock = threading.Lock()
        self._working: dict[str, Build] = {}
        self._local: LocalEnvironment | None = None

    def watch(self, local: LocalEnvironment, github: StandInGitHub) -> None:
        self._local = local
        github.on_request = self._on_request

    def reset(self) -> None:
        with self._lock:
            self.violations.clear()
            self._working.clear()
        self.entered.clear()

    def on_build_line(self, build_id: str, line: str) -> None:
        if _WORK_BEGINS not in line or self._local is None:
            return
        build = self._local.aws.builds.get(build_id)
        if build is None:
            return
        with self._lock:
            others = self._working_builds()
            self._working[build_id] = build
        if others:
            self.violations.append(f"two builds work at once: {build_id} and {', '.join(others)}")

    def _working_builds(self) -> list[str]:
        return [name for name, build in self._working.items() if not build.run.finished.is_set()]

    def _on_request(self, operation: str) -> None:
        local = self._local
        if local is None or operation != "git-receive-pack":
            return
        owner = (local.lock() or {}).get("owner", {}).get("S", "")
        with self._lock:
            pushers = {
                variable["value"]
                for build in self._working.values()
                if not build.run.finished.is_set()
                for variable in build.request.get("environmentVariablesOverride", ())
                if variable["name"] == "EXECUTION_ARN"
            }
        if owner not in pushers:
            self.violations.append(f"a push by {pushers} while the lock is held by {owner or 'nobody'}")
