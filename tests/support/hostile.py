"""Starts a hostile program exactly as the pipeline starts the agent, or the project's tests."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from kiro_local.github.model import Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.config.model import Configuration
from kiro_worker.errors import BuildStopped
from kiro_worker.github.labels import Labeling
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.agent.adapters import ADAPTERS, PreparedAgent
from kiro_worker.runner.agent.workspace import AgentWorkspace, TurnContext
from kiro_worker.runner.gate.gate import run_gate
from kiro_worker.runner.gate.run import Place
from kiro_worker.runner.gate.workspace import GateWorkspace
from kiro_worker.runner.report.log import Redaction
from kiro_worker.runner.repository.checkout import Checkout, check_out
from kiro_worker.runner.repository.commit import Change, changes_between, commit_turn
from kiro_worker.runner.repository.commit_style import CommitMessage
from kiro_worker.runner.repository.submodules import Submodules
from kiro_worker.runner.request import BuildRequest
from kiro_worker.runner.sandbox.agent_user import running
from kiro_worker.runner.sandbox.folders import Folders
from kiro_worker.runner.sandbox.sandbox import Limits, Sandbox, another_user, sandbox
from kiro_worker.runner.trust.guard import Guard
from kiro_worker.runner.trust.steering import Steering
from tests.support.settings import check

BRANCH = "feature/discounts"
PASSWORD = "p4ss/w0rd+of=the&worker"
LOG_TEXT = "only the runner may read this"
TASKS = ".kiro/specs/feature-discounts/tasks.md"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
PYTHON = shutil.which("python3", path=SYSTEM_PATH) or ""


class Role(StrEnum):
    """The role in which the hostile program runs."""

    AGENT = "agent"
    TESTS = "tests"


@dataclass(frozen=True)
class Ending:
    """How the program ended. ``exit_code`` is known only for an agent, because the gate does not report it."""

    succeeded: bool
    timed_out: bool = False
    exit_code: int | None = None


@dataclass
class Scene:
    """A build with a checkout and a sandbox. ``log`` is what the runner logs, ``lines`` what the program prints."""

    role: Role
    workspace: Path
    scripts: Path
    checkout: Checkout
    request: BuildRequest
    box: Sandbox
    repository: Repository
    log: list[str]
    gate: GateWorkspace
    lines: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.gate.folders.home

    @property
    def reports(self) -> Path:
        """Where the gate keeps the reports of the tests."""
        return self.workspace / "logs" / "reports"

    def attack(
        self,
        code: str,
        *arguments: str,
        seconds: float = 30,
        limits: Limits | None = None,
        sink: Callable[[str], None] | None = None,
    ) -> Ending:
        """Run the Python program ``code`` in the scene's role."""
        script = self.scripts / f"attack-{len(list(self.scripts.iterdir()))}.py"
        script.write_text(code)
        box = replace(self.box, limits=limits) if limits else self.box
        start = self._as_agent if self.role is Role.AGENT else self._as_tests
        return start((PYTHON, str(script), *arguments), seconds, box, sink or self.lines.append)

    def _as_agent(self, argv: tuple[str, ...], seconds: float, box: Sandbox, sink: Callable[[str], None]) -> Ending:
        """Run a turn, as the agent loop does: ``run_turn`` calls ``grant``, ``stream`` and ``reclaim``."""
        adapter = replace(ADAPTERS["kiro"], argv=argv)
        agent = PreparedAgent(adapter, seconds, {adapter.key_variable: "the-agents-own"})
        finished = self._agent_workspace(box, sink).run_turn(agent, "", self.checkout.commit).finished
        return Ending(finished.succeeded, finished.timed_out, finished.exit_code)

    def _as_tests(self, argv: tuple[str, ...], _seconds: float, box: Sandbox, sink: Callable[[str], None]) -> Ending:
        """Run the gate in the scene's folders, which are those of the tests."""
        command_line = f"$ {' '.join(argv)}"
        try:
            place = Place(
                self.checkout.folder,
                self.home,
                {"PATH": SYSTEM_PATH},
                # The gate itself logs to the sink, too: the command before the run, changed files after it.
                lambda line: None if line == command_line or line.startswith("the tests changed ") else sink(line),
                Redaction(),
                box,
                self.gate.folders.temporary,
            )
            run_gate(check(test=list(argv)), place, keep=self.reports)
        except BuildStopped as stop:
            if stop.outcome is not Outcome.TESTS_FAILED:
                raise
            return Ending(succeeded=False)
        return Ending(succeeded=True)

    def commit(self) -> Change | None:
        """Commit what the agent left, as the runner does after a turn; ``None`` when nothing changed."""
        checkout, log = self.checkout, self.log.append
        tree = self._agent_workspace(self.box, self.lines.append).collect()
        if tree == checkout.git.text("rev-parse", f"{checkout.commit}^{{tree}}"):
            return None
        message = CommitMessage("Implement", "", ())
        commit = commit_turn(checkout, checkout.commit, tree, tree, message, log)
        return changes_between(checkout, commit)

    def committed_file(self, path: str, commit: str) -> bytes:
        return self.checkout.git.run("cat-file", "blob", f"{commit}:{path}")

    def assert_no_process_is_left(self) -> None:
        if self.box.uid is not None:
            assert running(self.box.uid) == set()

    def _agent_workspace(self, box: Sandbox, sink: Callable[[str], None]) -> AgentWorkspace:
        context = TurnContext(
            home=self.home,
            sandbox=box,
            environment={"PATH": SYSTEM_PATH},
            sink=sink,
            say=self.log.append,
            redaction=Redaction(),
            keep=lambda _commit: None,
            note_turn=lambda _run: None,
            guard=Guard(self.request, configuration(), lambda _label: Labeling(), self.log.append),
            steering=Steering(),
            submodules=Submodules({}),
            temporary=self.gate.folders.temporary,
        )
        return AgentWorkspace(self.request, self.checkout, context)


def configuration(**more: object) -> Configuration:
    """A configuration that has its required keys, and ``more``."""
    required = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Go"}
    return Configuration.model_validate({**required, **more})


@contextlib.contextmanager
def hostile_scene(github: StandInGitHub, role: Role) -> Iterator[Scene]:
    """Prepare a build until just before the program starts: the checkout, the sandbox, and the folders of the tests."""
    repository = github.board.add_repository("acme/shop")
    files: Mapping[str, str] = {
        TASKS: "- [ ] 1. Work\n",
        "package.json": "{}\n",
        "shop.py": "PRICE = 1\n",
        "docs/a.md": "a\n",
    }
    repository.git.commit("main", {"README.md": "# shop\n"}, "Begin")
    commit = repository.git.commit(BRANCH, files, "Write the spec", base="main")
    lease = Lease("work-item-processor-lock", "arn:aws:states:x:1:execution:w:run-1", 1, expires_at=0)
    request = BuildRequest("acme/shop", BRANCH, commit, TASKS.rpartition("/")[0], 1, lease)
    parent = {"PATH": SYSTEM_PATH}
    log: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kiro-worker-", ignore_cleanup_errors=True) as folder:
        workspace, scripts = Path(folder, "workspace"), Path(folder, "scripts")
        workspace.mkdir(mode=0o700)
        scripts.mkdir()
        Path(folder).chmod(0o755)
        (workspace / "logs").mkdir()
        (workspace / "logs" / "runner.log").write_text(f"{LOG_TEXT}\n")
        checkout = check_out(request, workspace, github.git_url, GitCredentials("git", PASSWORD), parent)
        with sandbox({**parent, "AGENT_USER": "own"}, workspace, log.append) as agent, another_user(agent) as tests:
            gate = GateWorkspace(request, Folders(workspace), agent, tests, None, log.append, Path(folder))
            box = agent if role is Role.AGENT else tests
            scene = Scene(role, workspace, scripts, checkout, request, box, repository, log, gate)
            with gate.opened(checkout, Submodules({}), commit) if role is Role.TESTS else contextlib.nullcontext():
                yield scene
