from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kiro_worker.config.model import AgentConfiguration
from kiro_worker.models import Lease
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.agent.adapters import Agent, configured_agent, kiro_spent
from kiro_worker.runner.agent.turn import AgentRun, run_agent
from kiro_worker.runner.request import BuildRequest

JOB = BuildRequest("acme/shop", "feature/x", "0" * 40, ".kiro/specs/feature-x", 1, Lease("k", "o", 1, 0))


def run(tmp_path: Path, code: str, timeout_seconds: float = 30) -> AgentRun:
    agent = Agent("test", (sys.executable, "-c", code), timeout_seconds, {}, "", False, "credits", kiro_spent)
    return run_agent(agent, "the prompt", tmp_path, tmp_path / "home", parent={}, sink=print, redact=str)


def test_the_prompt_comes_on_standard_input(tmp_path: Path) -> None:
    assert run(tmp_path, "print(input())").finished.lines == ("the prompt",)


def test_an_agent_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    done = run(tmp_path, "import time; print('thinking', flush=True); time.sleep(300)", timeout_seconds=0.6)

    assert done.problem is not None
    assert done.problem.outcome is Outcome.AGENT_TIMED_OUT
    assert done.problem.details == "thinking"
    assert "timeoutMinutes" in done.problem.remedy


def test_a_signal_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "import os; os.kill(os.getpid(), 9)")

    assert done.problem is not None
    assert "ended with signal 9" in done.problem.reason


@pytest.mark.parametrize(
    ("printed", "credits_spent", "seconds"),
    [
        ("▸ Credits: 0.01 • Time: 1s", 0.01, 1),
        (" ▸ Credits: 12.5 • Time: 1h 2m 3s", 12.5, 3723),
        ("▸ Credits: 1 • Time: 2s\\nmore\\n▸ Credits: 2 • Time: 3s", 3, 5),
        ("nothing of the kind", None, 0),
    ],
)
def test_the_trailer_is_understood(tmp_path: Path, printed: str, credits_spent: float | None, seconds: float) -> None:
    done = run(tmp_path, f"import sys; sys.stdout.reconfigure(encoding='utf-8'); print('{printed}')")

    assert done.credits == credits_spent
    assert done.seconds == seconds or credits_spent is None


def test_a_command_may_name_branch_and_spec() -> None:
    configuration = AgentConfiguration.model_validate(
        {"name": "command", "command": ["tool", "--on={branch}", "{spec_path}/tasks.md", "{else}"]}
    )

    agent = configured_agent(configuration, JOB, load_key=lambda: pytest.fail("a command has no key"))

    assert agent.argv == ("tool", "--on=feature/x", ".kiro/specs/feature-x/tasks.md", "{else}")


def test_the_key_is_the_kiro_clis_alone() -> None:
    agent = configured_agent(AgentConfiguration(), JOB, load_key=lambda: "the-key")

    assert agent.own_variables == {"KIRO_API_KEY": "the-key"}
    assert "the-key" not in " ".join(agent.argv)
