"""The users and folders of a build's children: those of the agent, and those of setup and the tests."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kiro_worker.runner.gate.setup import Setup, is_set_up
from kiro_worker.runner.gate.workspace import GateWorkspace
from kiro_worker.runner.sandbox.environment import withheld_variables
from kiro_worker.runner.sandbox.folders import Folders
from kiro_worker.runner.sandbox.sandbox import another_user, sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kiro_worker.config.settings import Check
    from kiro_worker.runner.edges import BuildEdges
    from kiro_worker.runner.request import BuildRequest


@contextmanager
def open_workspaces(
    request: BuildRequest, edges: BuildEdges, checks: tuple[Check, ...], test_secrets: Mapping[str, str]
) -> Iterator[tuple[GateWorkspace, Callable[[str], None]]]:
    """Yield the gate's workspace and the agent's log, with the users that agent and tests run as reserved."""
    setup = None
    if is_set_up(checks):
        logs = edges.logs / "setup.log"
        setup = Setup(checks, edges.environment, lambda: edges.log.sink("setup", logs), edges.redaction, test_secrets)
    with (
        edges.log.sink("agent", edges.logs / "agent.log") as agent_log,
        sandbox(edges.environment, edges.workspace, edges.log.say) as agent,
        another_user(agent) as gate,
    ):
        for name in withheld_variables(edges.environment):
            edges.log.say(f"agent, setup and tests do not get {name}, because its address contains credentials")
        folders = Folders(edges.workspace)
        yield GateWorkspace(request, folders, agent, gate, setup, edges.log.say), agent_log
