"""The world of one end-to-end test: an organization with a board and a repository on a deployed worker."""

from __future__ import annotations

import itertools
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from kiro_local.aws.builds import Build
from kiro_local.environment import NAMES, GitHubAccess, LocalEnvironment
from kiro_local.github.model import Issue, Item, Project, PullRequest, Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.executions.follow import wait_for
from kiro_worker.executions.history import Run, read_run
from kiro_worker.records.breaker import resume
from kiro_worker.records.checkpoints import checkpoint_ref
from kiro_worker.records.table import RecordsTable
from tests.support.settings import parameter

TOKEN = "ghp_" + "e2e0" * 9
PATIENCE = 120
SPEC = {
    "requirements.md": "# Requirements\n\n1. THE module SHALL add.\n",
    "design.md": "# Design\n\nA function.\n",
    "tasks.md": "# Tasks\n\n- [ ] 1. Write the function\n",
}
# A failing test; the agent below makes it pass.
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

_serial = itertools.count(1)


class StateHooks(dict[str | tuple[str, str], Callable[[], None]]):
    """Maps a state's name to a function that is called once, when a run enters the state. A key of an execution's ARN
    and a name is for this execution alone.

    It is called in the interpreter's own thread before the state runs, so there is no race.
    """

    def on_history_event(self, arn: str, event: Mapping[str, Any]) -> None:
        """The listener for the embedded AWS."""
        name = event.get("stateEnteredEventDetails", {}).get("name", "")
        if hook := self.pop((arn, name), None) or self.pop(name, None):
            hook()


@dataclass
class World:
    """An organization with one board and one repository, and the worker that is configured for it."""

    local: LocalEnvironment
    github: StandInGitHub
    folder: Path
    organization: str
    repository: Repository
    project: Project
    entered: StateHooks
    configuration: dict[str, Any] = field(default_factory=dict)
    patience: float = PATIENCE
    """How many seconds a run may take, and how long nothing may change while a test waits for all of them."""
    earlier_executions: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.earlier_executions = frozenset(self._executions())

    def spec(self, branch: str, *, without: str = "", changes: Mapping[str, Any] | None = None) -> None:
        """Commits the failing test and a spec for it to a branch."""
        folder = f".kiro/specs/{branch.replace('/', '-')}"
        files = {f"{folder}/{name}": text for name, text in (SPEC | dict(changes or {})).items() if name != without}
        self.repository.git.commit(branch, PROJECT | files, f"Write the spec for {branch}", base="main")

    def card(self, branch: str = "feature/sum", *, status: str = "For Implementation", title: str = "") -> Item:
        """A card that is ready: it has an issue, a branch with a spec, and a pull request."""
        self.spec(branch)
        self.github.board.add_pull_request(self.repository, branch, title=title or branch)
        return self.bare_card(branch, status=status, title=title)

    def bare_card(self, branch: str, *, status: str = "For Implementation", title: str = "") -> Item:
        """A card with an issue and the name of a branch only."""
        issue = self.github.board.add_issue(self.repository, title or f"Work on {branch}")
        return self.github.board.add_card(self.project, issue, status=status, branch=branch)

    def configure(self, **changes: Any) -> None:
        """Changes the parameter. Keys of a repository become the defaults of all repositories."""
        self.configuration |= changes
        self.local.configure(parameter(self.configuration))

    def agent(self, program: str = IMPLEMENT) -> None:
        """Sets the agent: a Python program that runs in the checkout, with the prompt on standard input."""
        script = self.folder / "agent.py"
        script.write_text(textwrap.dedent(program))
        self.configure(agent={"command": [sys.executable, str(script)]})

    def waiting_agent(self) -> Path:
        """Sets an agent that does its work once the returned file exists."""
        proceed = self.folder / "proceed"
        self.agent(
            f"import pathlib, time\nwhile not pathlib.Path({str(proceed)!r}).exists(): time.sleep(0.05)\n{IMPLEMENT}"
        )
        return proceed

    def tick(self) -> Run:
        """The run that the schedule starts, once it has ended and the runs that it started, one after the other, too.

        Work that was active before is not waited for.
        """
        active = self.active_work()
        return self.finish(self.local.tick(), *active)

    def start(self, document: Any) -> Run:
        """Start a run with this input, and wait as :meth:`tick` does."""
        active = self.active_work()
        return self.finish(self.local.start(document), *active)

    def redrive(self, run: Run) -> Run:
        """Redrive the run, and wait as :meth:`tick` does."""
        active = self.active_work()
        self.local.redrive(run.arn)
        return self.finish(run.arn, *active)

    def finish(self, arn: str, *ignored: str) -> Run:
        """The run, once it has ended, and every other run, clean-up and build, except ``ignored``."""
        self.finish_alone(arn)
        self.wait_until_idle(*ignored)
        return self.read(arn)

    def finish_alone(self, arn: str) -> Run:
        """The run, once it has ended. What it started may still be active."""
        return wait_for(self.local.client("stepfunctions"), arn, self.patience)

    def active_work(self) -> list[str]:
        """The executions of both state machines that have not ended, and the builds that outlive theirs."""
        aws = self.local.aws
        executions = [execution.exec_arn for execution in list(aws.executions._live)]
        builds = [each for each in list(aws.builds._builds.items()) if not each[1].run.finished.is_set()]
        return executions + [name for name, build in builds if _execution_of(build) not in executions]

    def wait_until_idle(self, *ignored: str) -> None:
        """Wait until nothing is active but ``ignored``. A run starts the next one before it ends, so none is missed."""
        deadline, before = 0.0, set(ignored)
        while active := set(self.active_work()) - set(ignored):
            if active != before:
                deadline, before = time.monotonic() + self.patience, active
            assert time.monotonic() < deadline, f"still active: {active}"
            time.sleep(0.01)

    def stop_everything(self) -> None:
        """Stop the runs that a test has left, because the next test changes what they would find."""
        client = self.local.client("stepfunctions")
        for arn in self._executions(statusFilter="RUNNING"):
            client.stop_execution(executionArn=arn)
        self.wait_until_idle()

    def read(self, arn: str) -> Run:
        return read_run(self.local.client("stepfunctions"), arn)

    def runs(self) -> list[Run]:
        """Every run since the world was created, in the order of their starts."""
        return [self.read(arn) for arn in reversed(self._executions()) if arn not in self.earlier_executions]

    def runs_after(self, run: Run) -> list[Run]:
        """The runs that started after ``run``, in the order of their starts."""
        runs = self.runs()
        return runs[[each.arn for each in runs].index(run.arn) + 1 :]

    def _executions(self, **wanted: str) -> list[str]:
        """The ARNs of the state machine's executions, the latest first."""
        pages = self.local.client("stepfunctions").get_paginator("list_executions")
        found = pages.paginate(stateMachineArn=self.local.state_machine_arn, **wanted)
        return [execution["executionArn"] for page in found for execution in page["executions"]]

    def backdate(self, *cards: Item) -> None:
        """Date the cards back by an hour, because times on GitHub are in whole seconds."""
        for card in cards:
            card.changed_at = {field: time - timedelta(hours=1) for field, time in card.changed_at.items()}

    def status(self, item: Item) -> str | None:
        return item.value("Status")

    def head(self, branch: str = "feature/sum") -> str | None:
        return self.repository.git.head_of(branch)

    def checkpoint(self, branch: str = "feature/sum") -> str | None:
        """The commit on the branch's checkpoint, which may hold no work."""
        found = self.repository.git.refs().get(checkpoint_ref(branch))
        return found.oid if found else None

    def file(self, path: str, branch: str = "feature/sum") -> str:
        return self.repository.git.run("show", f"{branch}:{path}").decode()

    def comments(self) -> list[str]:
        subjects: list[Issue | PullRequest] = [*self.repository.issues, *self.repository.pull_requests]
        return [comment.body for subject in subjects for comment in subject.comments]

    def records(self) -> RecordsTable:
        return RecordsTable(self.local.client("dynamodb"), NAMES.records_table)

    def end_wait_of_breaker(self) -> None:
        """Let the next run be a probe, as if the breaker's wait were over."""
        assert self.records().update_if("breaker", {"retryAfter": 1}, present=("error",))

    def builds(self) -> list[str]:
        client = self.local.client("codebuild")
        return list(client.list_builds_for_project(projectName=NAMES.build_project)["ids"])

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "the condition was not met in time"
            time.sleep(0.05)


def _execution_of(build: Build) -> str:
    variables = {each["name"]: each["value"] for each in build.request.get("environmentVariablesOverride", ())}
    return str(variables.get("EXECUTION_ARN", ""))


def create_world(
    local: LocalEnvironment, github: StandInGitHub, folder: Path, entered: StateHooks, *, test_command: str
) -> World:
    """A new organization with a board and a repository; the worker is not configured for it yet."""
    organization = f"acme{next(_serial)}"
    repository = github.board.add_repository(f"{organization}/shop")
    repository.git.commit("main", {"README.md": "# Shop\n"}, "Create the shop")
    project = github.board.add_project(organization, number=1)
    world = World(local, github, folder, organization, repository, project, entered)
    # Another test's failure of the installation must not stop this one's runs.
    resume(world.records())
    world.configuration = {
        "organization": organization,
        "repository": "shop",
        "projectNumber": 1,
        "targetStatusColumn": "For Implementation",
        "githubApiUrl": github.graphql_url,
        "gitUrl": github.git_url,
        "setup": [],
        "test": test_command,
        "coverage": {"threshold": None},
        "baseline": "off",
    }
    return world


@contextmanager
def stand_in_github() -> Iterator[StandInGitHub]:
    """A stand-in GitHub with the worker's token and a rate limit that thousands of runs do not reach."""
    with StandInGitHub(points_per_hour=10**6) as github:
        github.add_token(TOKEN, "kiro-worker-bot")
        yield github


def access(github: StandInGitHub) -> GitHubAccess:
    """The worker's access to the stand-in."""
    return GitHubAccess(github.graphql_url, github.git_url, TOKEN)


def names(run: Run) -> list[str]:
    """The names of the states that a run entered, in order."""
    return [state.name for state in run.states]
