"""Each adapter runs a program of its name on the PATH that behaves as its vendor documents."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kiro_worker.config.settings import AgentSettings
from kiro_worker.models import Lease
from kiro_worker.runner.agent.adapters import ADAPTERS, configured_agent
from kiro_worker.runner.request import BuildRequest
from tests.support.worker import writable_file

AGENT_KEY = "the-agents-own-key-42"
REQUEST = BuildRequest("acme/shop", "feature/x", "0" * 40, ".kiro/specs/feature-x", 1, Lease("k", "o", 1, 0))
OUTPUT = {
    "kiro": ("kiro-cli", " ▸ Credits: 0.42 • Time: 1m 5s"),
    "claude": (
        "claude",
        '{"type":"result","is_error":false,"duration_ms":65000,"total_cost_usd":0.42,"result":"done"}',
    ),
    "codex": (
        "codex",
        """{"type":"turn.started"}
{"type":"turn.completed","usage":{"input_tokens":40,"cached_input_tokens":30,"output_tokens":2}}""",
    ),
    "gemini": (
        "gemini",
        """{
  "response": "done",
  "stats": {"models": {"gemini-pro": {"api": {"totalRequests": 2},
    "tokens": {
      "prompt": 40,
      "total": 42
    }}}}
}""",
    ),
}
EXPECTED: dict[str, float] = {"kiro": 0.42, "claude": 0.42, "codex": 42, "gemini": 42}


def install(folder: Path, name: str, output: str) -> str:
    """Install a program that does some work, records how it was called, and prints ``output``. It answers a trial turn
    well. Returns the prefix of a PATH that contains it.
    """
    path = folder / "bin" / OUTPUT[name][0]
    path.parent.mkdir()
    (folder / "output").write_text(f"{output}\n")
    for file in ("arguments", "prompt", "environment"):
        writable_file(folder / file)
    (folder / "trial").write_text(f"{OUTPUT[name][1]}\n")
    path.write_text(
        "#!/bin/sh\nprompt=$(cat)\n"
        f'case "$prompt" in "Reply with OK."*) cat {folder}/trial; exit 0;; esac\n'
        f'echo "$@" > {folder}/arguments\nprintf "%s" "$prompt" > {folder}/prompt\nenv > {folder}/environment\n'
        "echo 'NOTES = 1' > shop/notes.py\nsed -i 's/\\[ \\]/[x]/' .kiro/specs/*/tasks.md\n"
        f"cat {folder}/output\n"
    )
    path.chmod(0o755)
    return f"{path.parent}{os.pathsep}"


@pytest.mark.parametrize("name", OUTPUT)
def test_agent_gets_prompt_and_key(worker: Any, tmp_path: Path, name: str) -> None:
    path = install(tmp_path, name, OUTPUT[name][1])
    worker.configure({"name": name, "mode": "all"})

    finished = worker.run(PATH=path + worker.environment()["PATH"])

    assert finished.outcome == "Succeeded", finished.log
    arguments = (tmp_path / "arguments").read_text().split()
    expected = configured_agent(AgentSettings(name=name), REQUEST, str).argv  # type: ignore[arg-type]
    assert arguments == " ".join(expected[1:]).split()
    environment = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines())
    assert environment.pop(ADAPTERS[name].key_variable) == AGENT_KEY
    assert AGENT_KEY not in str(environment)
    assert "Add `apply_discount`" in (tmp_path / "prompt").read_text()
    assert finished.result["agent"]["credits"] == 2 * EXPECTED[name], "the trial turn counts"
    assert AGENT_KEY not in finished.log


@pytest.mark.parametrize("name", OUTPUT)
def test_missing_closing_line_fails_turn(worker: Any, tmp_path: Path, name: str) -> None:
    path = install(tmp_path, name, "I am done!")
    worker.configure(name)

    finished = worker.run(PATH=path + worker.environment()["PATH"])

    assert (finished.outcome, finished.exports["OUTCOME_OWNER"]) == ("AgentFailed", "card")
    assert "did not print its closing line" in finished.exports["OUTCOME_REASON"]
    assert worker.head() == worker.commit


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("claude", '{"type":"result","subtype":"error_max_turns","is_error":true,"total_cost_usd":0.1}'),
        ("codex", '{"type":"turn.failed","error":{"message":"no"}}'),
    ],
)
def test_reported_failure_fails_turn(worker: Any, tmp_path: Path, name: str, output: str) -> None:
    path = install(tmp_path, name, output)
    worker.configure(name)

    finished = worker.run(PATH=path + worker.environment()["PATH"])

    assert finished.outcome == "AgentFailed"
    assert "reported that its turn failed" in finished.exports["OUTCOME_REASON"]
