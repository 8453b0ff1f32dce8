"""Problems that the runner reports as a build's outcome: of the agent, of setup and of the tests."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from kiro_worker.runner.agent.adapters import ADAPTERS, PreparedAgent
from kiro_worker.runner.agent.install import install_agent
from kiro_worker.runner.agent.limits import require_within_limits
from kiro_worker.runner.agent.turn import run_agent
from kiro_worker.runner.gate.branch_tests import BranchTests
from kiro_worker.runner.gate.gate import run_gate
from kiro_worker.runner.gate.run import Place
from kiro_worker.runner.gate.setup import Setup, plan_setup
from kiro_worker.runner.gate.take_baseline import take_baseline
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.runner.sandbox.folders import Folders
from kiro_worker.runner.sandbox.sandbox import Sandbox
from tests.support.operator_guide.installation import KEY, put_secret
from tests.support.operator_guide.problem import REDRIVE, Problem, Seen, failed_build, stopped
from tests.support.settings import check, settings


def turn(program: str, *, minutes: float = 1) -> Seen:
    """Return how a build ends whose agent is this Python program, which prints what the Kiro CLI would."""
    adapter = replace(ADAPTERS["kiro"], argv=(sys.executable, "-c", program))
    with tempfile.TemporaryDirectory() as folder:
        done = run_agent(
            PreparedAgent(adapter, minutes * 60),
            "the prompt",
            Path(folder),
            Path(folder) / "home",
            parent={},
            sink=lambda _: None,
            redact=str,
            sandbox=Sandbox(),
        )
    return failed_build(done.refused or done.problem)


def overspent() -> Seen:
    agent = settings(agent={"name": "kiro", "maxMinutes": 10}).agent
    progress = BuildProgress(tasks_done=2, tasks_open=3, agent_seconds=700)
    return stopped(lambda: require_within_limits(agent, ADAPTERS["kiro"], progress, None))  # type: ignore[arg-type]  # not read


def gate(**keys: Any) -> Seen:
    """Return how a build ends whose gate runs with this configuration."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "checkout"
        folder.mkdir()
        place = Place(folder, Path(name) / "home", {}, lambda _: None, str)
        return stopped(lambda: run_gate(check(**{"coverage": {}, **keys}), place))


def baseline(**keys: Any) -> Seen:
    """Return how a build ends whose baseline runs with these keys of the configuration."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "checkout"
        folder.mkdir()
        place = Place(folder, Path(name) / "home", {}, lambda _: None, str)

        def take() -> None:
            taken = take_baseline(check(**keys), place, "known", BranchTests((), ()))
            if taken.stop:
                raise taken.stop

        return stopped(take)


def setup(command: str) -> Seen:
    """Return how a build ends whose ``setup`` is this script."""
    with tempfile.TemporaryDirectory() as name:
        folders = Folders(Path(name))
        for folder in (folders.checkout, folders.home, folders.temporary):
            folder.mkdir()
        log: Any = lambda: _Log()  # noqa: E731
        checks = (check(setup=command),)
        steps = plan_setup(checks, folders.checkout)
        return stopped(lambda: Setup(checks, {}, log, str).run(steps, folders, Sandbox()))


class _Log:
    def __enter__(self) -> Callable[[str], None]:
        return lambda _: None

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""


AGENT: Final = (
    Problem(
        "The agent's key is rejected",
        "AgentUnavailable",
        "the Kiro API key is not accepted",
        KEY,
        put_secret(KEY),
        partial(turn, "print('Access denied: the bearer token is invalid'); raise SystemExit(1)"),
    ),
    Problem(
        "The agent's quota or credits are used up",
        "AgentUnavailable",
        "the quota or the credits of the Kiro API key are used up",
        KEY,
        "raise the limit or add credits at https://app.kiro.dev/account/usage",
        partial(turn, "print('The monthly usage limit has been reached'); raise SystemExit(1)"),
    ),
    Problem(
        "The Kiro CLI is not in the image, and is not pinned",
        "AgentUnavailable",
        "kiro-cli is not installed, and the CodeBuild project does not set KIRO_CLI_URL and KIRO_CLI_SHA256",
        "the CodeBuild project",
        "make deploy ARGS='--context kiroCliUrl=",
        lambda: stopped(lambda: install_agent("kiro", {"PATH": ""}, Path())),
    ),
    Problem(
        "The agent ends with an error",
        "AgentFailed",
        "kiro ended with exit code 3",
        "agent.log",
        REDRIVE,
        partial(turn, "raise SystemExit(3)"),
    ),
    Problem(
        "A turn of the agent takes too long",
        "AgentTimedOut",
        "kiro was stopped after 0.002 minutes",
        "agent.timeoutMinutes in the configuration parameter",
        "raise agent.timeoutMinutes in the configuration parameter, or split the task",
        partial(turn, "import time; time.sleep(600)", minutes=0.002),
    ),
    Problem(
        "The agent reaches the limit of the build",
        "BudgetExhausted",
        "the agent worked for 11.7 minutes, and agent.maxMinutes is 10",
        "2 tasks are done and kept, 3 are open",
        "raise agent.maxMinutes",
        overspent,
    ),
)
GATE: Final = (
    Problem(
        "Setup fails",
        "SetupFailed",
        "setup ended with exit code 3",
        '"setup" in .kiro-worker.yml',
        REDRIVE,
        partial(setup, "exit 3"),
    ),
    Problem(
        "The tests fail before the agent starts",
        "TestsAlreadyFailing",
        "the tests fail already, before the agent starts",
        "the tests ended with exit code 3",
        "set baseline in .kiro-worker.yml",
        partial(baseline, test=["sh", "-eu", "-c", "exit 3"]),
    ),
    Problem(
        "The tests cannot be started before the agent starts",
        "TestsAlreadyFailing",
        "no-such-program cannot be started",
        "setup",
        "correct test in .kiro-worker.yml",
        partial(baseline, test=["no-such-program"]),
    ),
    Problem(
        "The tests fail",
        "TestsFailed",
        "the tests ended with exit code 3",
        "the test command sh -eu -c 'exit 3'",
        REDRIVE,
        partial(gate, test=["sh", "-eu", "-c", "exit 3"]),
    ),
    Problem(
        "The tests cannot be started",
        "TestsFailed",
        "no-such-program cannot be started",
        "test",
        "correct test in .kiro-worker.yml",
        partial(gate, test=["no-such-program"]),
    ),
    Problem(
        "No test command is known",
        "TestsFailed",
        "no test command: none is configured, and none can be detected",
        "the files of the repository",
        "write the command into .kiro-worker.yml",
        gate,
    ),
    Problem(
        "Coverage is not measured, or too low",
        "CoverageBelowThreshold",
        "coverage cannot be measured: the tests wrote no coverage report",
        "coverage.threshold is 80%",
        "name it in coverage.report, or set coverage.threshold: null",
        partial(gate, test=["true"], coverage={"threshold": 80}),
    ),
)
