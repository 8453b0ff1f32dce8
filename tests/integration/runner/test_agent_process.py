"""The agent as a process: how it is started, how it fails, and what it leaves running."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.support.worker import AGENT_KEY, ANSWERS_TRIAL, WORK, Worker, writable_file


def test_agent_failure_shows_its_last_lines(worker: Worker) -> None:
    worker.configure(worker.agent("print('working'); print('the model said no'); raise SystemExit(3)"))

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "AgentFailed")
    assert "exit code 3" in finished.exports["OUTCOME_REASON"]
    assert json.loads(finished.exports["TAIL"]).splitlines() == ["working", "the model said no"]
    tasks = finished.result["tasks"]
    assert (tasks["done"], tasks["doneByThisRun"], tasks["doneBefore"], tasks["open"]) == (0, 0, 0, 7)
    assert worker.head() == worker.commit


def test_missing_agent_is_named(worker: Worker) -> None:
    worker.configure({"command": ["no-such-agent", "--now"]})

    finished = worker.run()

    assert (finished.outcome, finished.exports["OUTCOME_OWNER"]) == ("AgentUnavailable", "installation")
    assert "no-such-agent cannot be started" in finished.exports["OUTCOME_REASON"]
    assert "How to fix: install no-such-agent" in finished.exports["OUTCOME_REASON"]


def test_agent_without_changes_fails(worker: Worker) -> None:
    worker.configure(worker.agent("print('all done!')"))

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "NoChanges")


LEAVE_A_DAEMON = """
import os, subprocess, sys, time
# One daemon in the group, one in its own session; both keep the output open.
code = "import os,sys,time,signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " \\
       "open(sys.argv[1], 'a').write(str(os.getpid()) + chr(10)); time.sleep(300)"
for own_session in (False, True):
    subprocess.Popen([sys.executable, "-c", code, sys.argv[1]], start_new_session=own_session)
while len(open(sys.argv[1]).readlines()) < 2:
    time.sleep(0.01)
"""


def test_agents_daemons_end_with_its_turn(worker: Worker, tmp_path: Path) -> None:
    daemons = writable_file(tmp_path / "daemons")
    worker.configure(worker.agent(LEAVE_A_DAEMON + WORK, str(daemons), mode="all"))
    started = time.monotonic()

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert time.monotonic() - started < 60, "the worker does not wait for a daemon that keeps the output open"
    processes = daemons.read_text().splitlines()
    assert len(processes) == 2
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(int(process), 0)


KIRO = """echo "$@" > {seen}/arguments
printf "%s" "$prompt" > {seen}/prompt
env > {seen}/environment
echo "NOTES = 1" > shop/notes.py
sed -i 's/- \\[ \\]/- [x]/' .kiro/specs/feature-discounts/tasks.md
printf '\\033[32m ▸ Credits: 0.42 • Time: 1m 5s\\033[0m\\n' >&2
"""


def test_kiro_cli_gets_only_its_key(worker: Worker, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()
    for name in ("arguments", "prompt", "environment"):
        writable_file(seen / name)
    kiro = tmp_path / "bin" / "kiro-cli"
    kiro.parent.mkdir()
    kiro.write_text(ANSWERS_TRIAL + KIRO.format(seen=seen))
    kiro.chmod(0o755)
    worker.configure({"name": "kiro", "mode": "all"})

    finished = worker.run(PATH=f"{kiro.parent}{os.pathsep}{worker.environment()['PATH']}")

    assert finished.outcome == "Succeeded", finished.log
    assert (seen / "arguments").read_text() == "chat --no-interactive --v2 --trust-all-tools\n"
    environment = dict(line.split("=", 1) for line in (seen / "environment").read_text().splitlines())
    assert environment.pop("KIRO_API_KEY") == AGENT_KEY
    known = {"PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "LANG", "TERM", "EMAIL", "GIT_TERMINAL_PROMPT"}
    known |= {"GRADLE_USER_HOME", "MAVEN_USER_HOME", "MAVEN_OPTS"}
    assert set(environment) <= known | {"PWD", "OLDPWD", "SHLVL", "_"}
    prompt = (seen / "prompt").read_text()
    assert "- .kiro/specs/feature-discounts/requirements.md" in prompt
    assert "- 1.1 Add `apply_discount`" in prompt.replace("1.1. ", "1.1 ")
    assert "Describe discounts in the README" not in prompt, "the agent is not asked for an optional task"
    assert finished.result["agent"] == {"credits": 0.43, "seconds": 66}
    assert AGENT_KEY not in finished.log


def test_kiro_cli_needs_closing_line(worker: Worker, tmp_path: Path) -> None:
    kiro = tmp_path / "bin" / "kiro-cli"
    kiro.parent.mkdir()
    kiro.write_text(ANSWERS_TRIAL)
    kiro.chmod(0o755)
    worker.configure("kiro")

    finished = worker.run(PATH=f"{kiro.parent}{os.pathsep}{worker.environment()['PATH']}")

    assert finished.outcome == "AgentFailed"
    assert "did not print its closing line" in finished.exports["OUTCOME_REASON"]
    assert finished.exports["OUTCOME_OWNER"] == "card", "the output does not say that the key is rejected"


REJECTED = "Access denied: The bearer token included in the request is invalid."
REFUSED = """{work}
printf '%s\\n' '{text}' >&2
"""
LINE = "▸ Credits: 0.42 • Time: 1m 5s"


@pytest.mark.parametrize(
    ("work", "text", "outcome", "owner"),
    [
        ("", REJECTED, "AgentUnavailable", "installation"),
        ("exec 2>&1", "error: The monthly usage limit has been reached", "AgentUnavailable", "installation"),
        ("trap 'exit 1' EXIT", "You have reached the limit for overages", "AgentUnavailable", "installation"),
        ("echo 'NOTES = 1' > shop/notes.py", REJECTED, "AgentFailed", "card"),
        ("sed -i 's/\\[ \\]/[x]/' .kiro/specs/*/tasks.md", REJECTED, "AgentFailed", "card"),
        (f"echo '{LINE}'; trap 'exit 1' EXIT", REJECTED, "AgentFailed", "card"),
        (f"echo '{LINE}'", REJECTED, "NoChanges", "card"),
        ("trap 'kill -9 $$' EXIT", REJECTED, "AgentFailed", "card"),
    ],
)
def test_only_refused_turn_is_the_installations(
    worker: Worker, tmp_path: Path, work: str, text: str, outcome: str, owner: str
) -> None:
    kiro = tmp_path / "bin" / "kiro-cli"
    kiro.parent.mkdir()
    kiro.write_text(ANSWERS_TRIAL + REFUSED.format(work=work, text=text))
    kiro.chmod(0o755)
    worker.configure("kiro")

    finished = worker.run(PATH=f"{kiro.parent}{os.pathsep}{worker.environment()['PATH']}")

    assert (finished.outcome, finished.exports["OUTCOME_OWNER"]) == (outcome, owner), finished.log
    assert text in json.loads(finished.exports["TAIL"])
    if text == REJECTED and outcome == "AgentUnavailable":
        fix = "How to fix: aws secretsmanager put-secret-value --secret-id kiro-worker-<env>-kiro-api-key"
        assert fix in finished.exports["OUTCOME_REASON"]
    assert worker.head() == worker.commit


REFUSED_LATER = """#!/bin/sh
cat > /dev/null
if [ -e shop/notes.py ]; then echo 'The monthly usage limit has been reached' >&2; exit 1; fi
echo 'NOTES = 1' > shop/notes.py
printf '▸ Credits: 0.42 • Time: 1m 5s\\n' >&2
"""


def test_refusal_keeps_finished_tasks(worker: Worker, tmp_path: Path) -> None:
    kiro = tmp_path / "bin" / "kiro-cli"
    kiro.parent.mkdir()
    kiro.write_text(REFUSED_LATER)
    kiro.chmod(0o755)
    worker.configure("kiro")

    finished = worker.run(PATH=f"{kiro.parent}{os.pathsep}{worker.environment()['PATH']}")

    assert (finished.outcome, finished.exports["TASKS_DONE"]) == ("AgentUnavailable", "1"), finished.log
    assert worker.file("shop/notes.py", worker.checkpoint()) == "NOTES = 1\n"
    assert "https://app.kiro.dev/account/usage" in finished.exports["OUTCOME_REASON"]


@pytest.mark.parametrize("agent", ["kiro", "claude"])
def test_placeholder_key_costs_neither_setup_nor_push(worker: Worker, agent: str) -> None:
    worker.client("secretsmanager").put_secret_value(
        SecretId=worker.secrets["kiro-api-key"], SecretString="placeholder"
    )
    ran = writable_file(worker.folder / "setup-ran")
    worker.configure(agent, setup=f"echo yes > {ran}")

    finished = worker.run()

    assert ran.read_text() == ""
    assert not worker.checkpoint()
    assert "── push check" not in finished.log
    assert finished.outcome == "WorkerFailed"
    assert finished.exports["OUTCOME_REASON"].startswith("SecretPlaceholder: ")
