"""What an end-to-end test acts on."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kiro_local.environment import NAMES, LocalEnvironment
from kiro_local.github.model import Issue, Item, Project, PullRequest, Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.executions.follow import wait_for
from kiro_worker.executions.history import Run, read_run

TOKEN = "ghp_" + "e2e0" * 9
PATIENCE = 120
SPEC = {
    "requirements.md": "# Requirements\n\n1. THE module SHALL add.\n",
    "design.md": "# Design\n\nA function.\n",
    "tasks.md": "# Tasks\n\n- [ ] 1. Write the function\n",
}
# What the project's own tests ask for: what the agent below writes makes them pass.
PROJECT = {
    "sums.py": "",
    "test_sums.py": "import unittest\nimport sums\n\n\nclass Sums(unittest.TestCase):\n"
    "    def test_add(self):\n        self.assertEqual(sums.add(1, 2), 3)\n",
}
IMPLEMENT = """
import pathlib, sys
sys.stdin.read()
pathlib.Path("sums.py").write_text("def add(a, b):\\n    return a + b\\n")
for tasks in pathlib.Path(".kiro/specs").glob("*/tasks.md"):
    tasks.write_text(tasks.read_text().replace("[ ]", "[x]"))
"""

Listener = Callable[[str, Mapping[str, Any]], None]


@dataclass
class World:
    """What a test acts on. ``entered`` maps a state's name to what happens, once, at the moment it is entered."""

    local: LocalEnvironment
    github: StandInGitHub
    folder: Path
    organization: str
    repository: Repository
    project: Project
    entered: dict[str, Callable[[], None]]
    configuration: dict[str, Any] = field(default_factory=dict)

    def spec(self, branch: str, *, without: str = "", changes: Mapping[str, Any] | None = None) -> None:
        """A branch with the project's failing test and a spec that asks for what it tests."""
        folder = f".kiro/specs/{branch.replace('/', '-')}"
        files = {f"{folder}/{name}": text for name, text in (SPEC | dict(changes or {})).items() if name != without}
        self.repository.git.commit(branch, PROJECT | files, f"Write the spec of {branch}", base="main")

    def card(self, branch: str = "feature/sum", *, status: str = "For Implementation", title: str = "") -> Item:
        """A card that is ready: issue, branch with its spec, pull request."""
        self.spec(branch)
        self.github.board.add_pull_request(self.repository, branch, title=title or branch)
        return self.bare_card(branch, status=status, title=title)

    def bare_card(self, branch: str, *, status: str = "For Implementation", title: str = "") -> Item:
        """A card for an issue and the name of a branch, and nothing else."""
        issue = self.github.board.add_issue(self.repository, title or f"Work on {branch}")
        return self.github.board.add_card(self.project, issue, status=status, branch=branch)

    def configure(self, **changes: Any) -> None:
        self.configuration |= changes
        self.local.configure(self.configuration)

    def agent(self, program: str = IMPLEMENT) -> None:
        """What the agent does: a Python program that runs in the checkout, with the prompt on its stdin."""
        script = self.folder / "agent.py"
        script.write_text(textwrap.dedent(program))
        self.configure(agent={"command": [sys.executable, str(script)]})

    def tick(self) -> Run:
        return self.finish(self.local.tick())

    def start(self, document: Any) -> Run:
        return self.finish(self.local.start(document))

    def finish(self, arn: str) -> Run:
        return wait_for(self.local.client("stepfunctions"), arn, PATIENCE)

    def redrive(self, run: Run) -> Run:
        self.local.redrive(run.arn)
        return self.finish(run.arn)

    def read(self, arn: str) -> Run:
        return read_run(self.local.client("stepfunctions"), arn)

    def status(self, item: Item) -> str | None:
        return item.value("Status")

    def head(self, branch: str = "feature/sum") -> str | None:
        return self.repository.git.head_of(branch)

    def file(self, path: str, branch: str = "feature/sum") -> str:
        return self.repository.git.run("show", f"{branch}:{path}").decode()

    def comments(self) -> list[str]:
        subjects: list[Issue | PullRequest] = [*self.repository.issues, *self.repository.pull_requests]
        return [comment.body for subject in subjects for comment in subject.comments]

    def builds(self) -> list[str]:
        client = self.local.client("codebuild")
        return list(client.list_builds_for_project(projectName=NAMES.build_project)["ids"])

    def wait_until(self, condition: Callable[[], bool]) -> None:
        import time

        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.05)


def names(run: Run) -> list[str]:
    return [passed.name for passed in run.states]
