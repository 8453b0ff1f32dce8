"""The real agents, at the versions that a build installs, against services on loopback.

They start as the sandbox's user with an empty home, take the adapter's flags, and say what the adapter reads. With
``KIRO_WORKER_RECORD_AGENTS=1``, what they print becomes the samples of ``tests/unit/runner/test_refusals.py``.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kiro_worker.agent_pin import NPM_PACKAGES
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.agent.adapters import ADAPTERS
from kiro_worker.runner.agent.trial import require_working
from tests.support.model_service import ANSWERS, model_service
from tests.support.real_agents import AGENTS, KEY, installed, prepared, system_path, trial

if TYPE_CHECKING:
    from kiro_worker.runner.agent.turn import AgentRun

pytestmark = pytest.mark.exhaustive
SAMPLES = Path(__file__).parents[2] / "unit" / "runner" / "agent_output"
CASES = ("key", "plan", "model", "busy")
UNREACHABLE = "http://service.invalid"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    for path in (folder, *folder.parents[:3]):
        path.chmod(path.stat().st_mode | 0o711)
    return folder


def record(name: str, case: str, text: str) -> None:
    if os.environ.get("KIRO_WORKER_RECORD_AGENTS") != "1":
        return
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "0" * 8, text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d[:-]\d\d[:-]\d\d(?:[.-]\d+)?Z?", "2026-01-01T00:00:00Z", text)
    text = re.sub(r"(?:file://)?/[\w./@+-]*/(?=[\w.-]+)", "/…/", text)
    SAMPLES.mkdir(exist_ok=True)
    (SAMPLES / f"{name}-{NPM_PACKAGES[name].version}-{case}.txt").write_text(f"{text.rstrip()}\n")


def refused(name: str, case: str, run: AgentRun) -> BuildStopped:
    record(name, case, "\n".join(run.finished.lines))
    with pytest.raises(BuildStopped) as caught:
        require_working(prepared(name, ""), run)
    assert caught.value.outcome is Outcome.AGENT_UNAVAILABLE
    assert caught.value.owner is FaultOwner.INSTALLATION
    return caught.value


@pytest.mark.parametrize("name", AGENTS)
def test_flags_are_those_of_the_real_program(name: str, tmp_path: Path) -> None:
    """Each flag of the adapter's command line is one that the program documents."""
    adapter = ADAPTERS[name]
    command = [*adapter.argv[: 2 if name == "codex" else 1], "--help"]
    environment = {"PATH": f"{system_path()}:{installed(name)}", "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    flags = [word for word in (*adapter.argv, *adapter.trial_arguments, "--model") if re.match(r"--\w", word)]

    record(name, "help", done.stdout)

    assert flags
    assert [flag for flag in flags if not re.search(rf"{flag}\b", done.stdout)] == []


@pytest.mark.parametrize("name", AGENTS)
def test_trial_succeeds(name: str, workspace: Path) -> None:
    with model_service(ANSWERS[name, "works"]) as service:
        agent = prepared(name, service.url)
        run = trial(agent, workspace)

    record(name, "works", "\n".join(run.finished.lines))
    require_working(agent, run)
    assert run.said.endswith("OK")
    assert run.cost
    assert KEY in " ".join(service.keys)
    assert KEY not in "\n".join(run.finished.lines)
    assert list(workspace.iterdir()) == []


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", AGENTS)
def test_refusal_is_read(name: str, case: str, workspace: Path) -> None:
    with model_service(ANSWERS[name, case]) as service:
        agent = prepared(name, service.url, model="no-such-model" if case == "model" else None)
        run = trial(agent, workspace)

    stop = refused(name, case, run)

    texts = {"key": "API key is not accepted", "plan": "are used up", "model": "does not offer", "busy": "rate limit"}
    assert texts[case] in stop.reason
    assert case == "busy" or run.finished.seconds < 60, "only a busy service is asked again and again"


@pytest.mark.parametrize("name", AGENTS)
def test_missing_network_is_read(name: str, workspace: Path) -> None:
    run = trial(prepared(name, UNREACHABLE), workspace, timeout_seconds=40)

    assert "cannot be reached" in refused(name, "network", run).reason
