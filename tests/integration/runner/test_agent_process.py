"""The agent as a process: how it is started, how it fails, and what it leaves running."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.support.worker import AGENT_KEY, WORK, Worker, writable_file


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

    assert finished.outcome == "AgentFailed"
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


KIRO = """#!/bin/sh
echo "$@" > {seen}/arguments
cat > {seen}/prompt
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
    kiro.write_text(KIRO.format(seen=seen))
    kiro.chmod(0o755)
    worker.configure({"name": "kiro", "mode": "all"})

    finished = worker.run(PATH=f"{kiro.parent}{os.pathsep}{worker.environment()['PATH']}")

    assert finished.outcome == "Succeeded", finished.log
    assert (seen / "arguments").read_text() == "chat --no-interactive --v2 --trust-all-tools\n"
    environment = dict(line.split("=", 1) for line in (seen / "environment").read_text().splitlines())
    assert environment.pop("KIRO_API_KEY") == AGENT_KEY
    assert set(environment) <= {"PATH", "HOME", "TMPDIR", "LANG", "TERM", "PWD", "OLDPWD", "SHLVL", "_"}
    prompt = (seen / "prompt").read_text()
    assert "- .kiro/specs/feature-discounts/requirements.md" in prompt
    assert "- 1.1 Add `apply_discount`" in prompt.replace("1.1. ", "1.1 ")
    assert "Describe discounts in the README" not in prompt, "the agent is not asked for an optional task"
    assert finished.result["agent"] == {"credits": 0.42, "seconds": 65}
    assert AGENT_KEY not in finished.log


def test_kiro_cli_needs_closing_line(worker: Worker, tmp_path: Path) -> None:
    kiro = tmp_path / "bin" / "kiro-cli"
    kiro.parent.mkdir()
    kiro.write_text("#!/bin/sh\ncat > /dev/null\nexit 0\n")
    kiro.chmod(0o755)
    worker.configure("kiro")

    finished = worker.run(PATH=f"{kiro.parent}{os.pathsep}{worker.environment()['PATH']}")

    assert finished.outcome == "AgentFailed"
    assert "rejected API key" in finished.exports["OUTCOME_REASON"]


def test_placeholder_key_is_reported_first(worker: Worker) -> None:
    worker.client("secretsmanager").put_secret_value(
        SecretId=worker.secrets["kiro-api-key"], SecretString="placeholder"
    )
    worker.configure("kiro")

    finished = worker.run()

    assert finished.outcome == "WorkerFailed"
    assert finished.exports["OUTCOME_REASON"].startswith("SecretPlaceholder: ")
