"""The trial turn: before the agent gets the spec, it proves that key, plan, model and network work."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kiro_worker.config.settings import REPOSITORY_FILE
from kiro_worker.errors import BuildStopped
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.agent.adapters import ADAPTERS, PreparedAgent
from kiro_worker.runner.agent.trial import require_working, run_trial
from kiro_worker.runner.sandbox.sandbox import Sandbox
from tests.support.worker import ANSWERS_TRIAL, BRANCH, Worker, writable_file

REJECTED = "Access denied: The bearer token included in the request is invalid."
WORKS = """printf '%s' "$prompt" >> {prompts}
echo "NOTES = 1" >> shop/notes.py
sed -i 's/- \\[ \\]/- [x]/' .kiro/specs/*/tasks.md
echo '▸ Credits: 2 • Time: 3s'
"""


class Kiro:
    """A stand-in for the Kiro CLI in the build image, which records the prompts it gets after the trial."""

    def __init__(self, worker: Worker, folder: Path) -> None:
        self._worker = worker
        self.prompts = writable_file(folder / "prompts")
        self._program = folder / "bin" / "kiro-cli"
        self._program.parent.mkdir()
        self.path = f"{self._program.parent}{os.pathsep}{worker.environment()['PATH']}"

    def says(self, script: str) -> None:
        self._program.write_text(script)
        self._program.chmod(0o755)

    def works(self) -> None:
        self.says(ANSWERS_TRIAL + WORKS.format(prompts=self.prompts))


@pytest.fixture
def kiro(worker: Worker, tmp_path: Path) -> Kiro:
    worker.configure("kiro", setup="exit 3")
    return Kiro(worker, tmp_path)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (REJECTED, "the Kiro API key is not accepted"),
        ("The monthly usage limit has been reached", "the quota or the credits of the Kiro API key are used up"),
        ("Kiro rate limit reached", "the rate limit of the Kiro API key is reached"),
        ("Thinking", "kiro cannot complete a short turn, which it gets before the spec"),
    ],
)
def test_agent_that_cannot_work_gets_no_spec(worker: Worker, kiro: Kiro, said: str, reason: str) -> None:
    kiro.says(f"#!/bin/sh\ncat >> {kiro.prompts}\necho '{said}' >&2\n")

    finished = worker.run(PATH=kiro.path)

    assert (finished.outcome, finished.exports["OUTCOME_OWNER"]) == ("AgentUnavailable", "installation")
    assert reason in finished.exports["OUTCOME_REASON"]
    assert kiro.prompts.read_text().startswith("Reply with OK.")
    assert "spec" not in kiro.prompts.read_text()
    phases = [phase["name"] for phase in finished.result["phases"]]
    assert phases[-1] == "try the agent", "neither setup nor the agent has started"
    assert (worker.head(), worker.checkpoint()) == (worker.commit, "")


def test_trial_is_named_and_its_cost_counts(worker: Worker, kiro: Kiro) -> None:
    worker.configure({"name": "kiro", "mode": "all"})
    kiro.works()

    finished = worker.run(PATH=kiro.path)

    assert finished.outcome == "Succeeded", finished.log
    assert "── try the agent" in finished.log
    assert finished.result["agent"]["credits"] == 2.01
    assert "Reply with OK" not in kiro.prompts.read_text()


@pytest.mark.exhaustive
def test_trial_counts_toward_limit(worker: Worker, kiro: Kiro) -> None:
    worker.configure({"name": "kiro", "maxCredits": 2.005})
    kiro.works()

    finished = worker.run(PATH=kiro.path)

    assert finished.outcome == "BudgetExhausted", finished.log
    assert "the agent spent 2.01 credits" in finished.exports["OUTCOME_REASON"]


@pytest.mark.exhaustive
def test_finished_work_needs_no_trial(worker: Worker, kiro: Kiro) -> None:
    """The plan may be used up, but a checkpoint with every task on it only has to pass the gate."""
    worker.configure({"name": "kiro", "mode": "all"}, test="echo Ran 1 test in 0.1s; exit 1")
    kiro.works()
    assert worker.run(PATH=kiro.path).outcome == "TestsFailed"
    worker.configure({"name": "kiro", "mode": "all"})
    kiro.says(f"#!/bin/sh\necho '{REJECTED}'\n")

    finished = worker.run(PATH=kiro.path)

    assert finished.outcome == "Succeeded", finished.log
    assert "no task is open, so the agent is not tried" in finished.log


@pytest.mark.exhaustive
def test_command_gets_no_trial(worker: Worker) -> None:
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "try the agent" not in [phase["name"] for phase in finished.result["phases"]]


REPEATS = """
import sys, time
sys.stdin.read()
print("Attempt 1 failed with status 503. Retrying with backoff... The model is overloaded.", flush=True)
time.sleep(600)
"""


def trial(folder: Path, name: str, code: str) -> tuple[PreparedAgent, float, BuildStopped]:
    adapter = replace(ADAPTERS[name], argv=(sys.executable, "-c", code))
    agent = PreparedAgent(adapter, 3600)
    started = time.monotonic()
    run = run_trial(agent, folder, parent={}, sink=print, redact=str, sandbox=Sandbox(), timeout_seconds=2)
    with pytest.raises(BuildStopped) as caught:
        require_working(agent, run)
    assert caught.value.outcome is Outcome.AGENT_UNAVAILABLE
    assert list(folder.iterdir()) == []
    return agent, time.monotonic() - started, caught.value


def test_repeated_refusal_is_not_awaited(tmp_path: Path) -> None:
    _, seconds, stop = trial(tmp_path, "gemini", REPEATS)

    assert "the service is overloaded" in stop.reason
    assert seconds < 60


def test_silence_is_no_refusal(tmp_path: Path) -> None:
    _, _, stop = trial(tmp_path, "gemini", "import time; time.sleep(600)")

    assert "cannot complete a short turn, which it gets before the spec: gemini was stopped after" in stop.reason
    assert stop.owner is FaultOwner.INSTALLATION


def test_short_turns_do_not_shorten_the_trial(tmp_path: Path) -> None:
    """A repository's own ``timeoutMinutes`` must not make the agent look broken, which stops the whole queue."""
    code = "import time; time.sleep(1); raise SystemExit(3)"
    agent = PreparedAgent(replace(ADAPTERS["codex"], argv=(sys.executable, "-c", code)), timeout_seconds=0.1)

    run = run_trial(agent, tmp_path, parent={}, sink=print, redact=str, sandbox=Sandbox())

    assert run.finished.exit_code == 3
    assert not run.finished.timed_out


def test_unexplained_failure_is_of_who_chose_the_agent(tmp_path: Path) -> None:
    agent, _, _ = trial(tmp_path, "codex", "raise SystemExit(2)")
    run = run_trial(agent, tmp_path, parent={}, sink=print, redact=str, sandbox=Sandbox())

    with pytest.raises(BuildStopped) as caught:
        require_working(replace(agent, chosen_by_repository=frozenset({"model"})), run)

    assert caught.value.owner is FaultOwner.REPOSITORY


@pytest.mark.parametrize(("agent", "outcome"), [("gemini", "GuardTripped"), ("codex", "AgentUnavailable")])
def test_files_of_configured_agent_are_guarded(worker: Worker, agent: str, outcome: str) -> None:
    """A branch's ``.env`` can make Gemini send the key to another server. Codex does not read it."""
    commit = worker.repository.git.commit(BRANCH, {".env": "GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:1\n"}, "Set")
    worker.configure(agent)

    finished = worker.run(COMMIT_SHA=commit, npm_config_registry="http://127.0.0.1:1")

    assert finished.outcome == outcome, finished.log
    if outcome == "GuardTripped":
        assert ".env" in finished.exports["OUTCOME_REASON"]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("model", "owner"), [("no-such-model", "repository"), ("", "installation")])
def test_model_of_repositorys_file_stops_no_other_card(worker: Worker, kiro: Kiro, model: str, owner: str) -> None:
    """A model that only the repository's own file names cannot open the breaker for everyone."""
    text = f"agent: {{model: {model}}}\n" if model else "agent: {mode: all}\n"
    worker.repository.git.commit("main", {REPOSITORY_FILE: text}, "Choose a model")
    kiro.says("#!/bin/sh\ncat > /dev/null\necho 'something about the model'\nexit 1\n")

    finished = worker.run(PATH=kiro.path)

    assert (finished.outcome, finished.exports["OUTCOME_OWNER"]) == ("AgentUnavailable", owner), finished.log
