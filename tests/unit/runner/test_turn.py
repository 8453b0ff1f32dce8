"""One turn of the agent: its input, its limits and its result."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kiro_worker.outcomes import Outcome
from kiro_worker.runner.agent.adapters import ADAPTERS, PreparedAgent
from kiro_worker.runner.agent.turn import AgentRun, run_agent
from kiro_worker.runner.sandbox.environment import BuildEnvironment
from kiro_worker.runner.sandbox.sandbox import Sandbox


def run(folder: Path, code: str, timeout_seconds: float = 30) -> AgentRun:
    """Run a turn of an agent that is this Python program."""
    adapter = replace(ADAPTERS["kiro"], argv=(sys.executable, "-c", code), always_reports_cost=False)
    return run_agent(
        PreparedAgent(adapter, timeout_seconds),
        "the prompt",
        folder,
        folder / "home",
        parent={},
        sink=print,
        redact=str,
        sandbox=Sandbox(),
    )


def test_prompt_arrives_on_standard_input(tmp_path: Path) -> None:
    assert run(tmp_path, "print(input())").finished.lines == ("the prompt",)


def test_withheld_variable_has_the_machines_value(tmp_path: Path) -> None:
    code = "import os; print(*map(os.environ.get, ('HTTPS_PROXY', 'NODE_OPTIONS', 'TZ')))"
    adapter = replace(ADAPTERS["kiro"], argv=(sys.executable, "-c", code), always_reports_cost=False)
    configured = {"HTTPS_PROXY": "http://127.0.0.1:1", "NODE_OPTIONS": "--require=./x.js", "TZ": "UTC"}
    lines: list[str] = []
    done = run_agent(
        PreparedAgent(adapter, 30, withheld=frozenset({"HTTPS_PROXY", "NODE_OPTIONS"})),
        "",
        tmp_path,
        tmp_path / "home",
        parent=BuildEnvironment({"HTTPS_PROXY": "http://proxy.example:3128"}, configured),
        sink=lines.append,
        redact=str,
        sandbox=Sandbox(),
    )

    assert done.finished.lines == ("http://proxy.example:3128 None UTC",)
    assert lines[0].startswith("the agent does not get HTTPS_PROXY, NODE_OPTIONS of .kiro-worker.yml")


def test_slow_turn_is_stopped(tmp_path: Path) -> None:
    done = run(tmp_path, "import time; print('thinking', flush=True); time.sleep(300)", timeout_seconds=0.6)

    assert done.problem is not None
    assert done.problem.outcome is Outcome.AGENT_TIMED_OUT
    assert done.problem.details == "thinking"
    assert "timeoutMinutes" in done.problem.remedy


def test_signal_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "import os; os.kill(os.getpid(), 9)")

    assert done.problem is not None
    assert "ended with signal 9" in done.problem.reason


@pytest.mark.parametrize(
    ("printed", "cost", "seconds"),
    [
        ("▸ Credits: 0.01 • Time: 1s", 0.01, 1),
        (" ▸ Credits: 12.5 • Time: 1h 2m 3s", 12.5, 3723),
        ("▸ Credits: 1 • Time: 2s\\nmore\\n▸ Credits: 2 • Time: 3s", 3, 5),
        ("nothing of the kind", None, 0),
    ],
)
def test_closing_lines_are_summed_up(tmp_path: Path, printed: str, cost: float | None, seconds: float) -> None:
    done = run(tmp_path, f"import sys; sys.stdout.reconfigure(encoding='utf-8'); print('{printed}')")

    assert done.cost == cost
    assert done.seconds == seconds or cost is None


def test_home_is_private(tmp_path: Path) -> None:
    run(tmp_path, "print('hello')")

    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
