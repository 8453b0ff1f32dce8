"""No secret and no privilege of the worker reaches the agent, the tests, git's command line or the logs."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from kiro_worker.runner.sandbox.agent_user import FIRST_UID, LAST_UID
from tests.support.worker import AGENT_KEY, BUCKET, FOR_EVERY_CHILD, PASSWORD, WORK, Worker, writable_file

TOKEN_START = "ghp_0123"
WORK_IN_SHELL = "cat > /dev/null; echo 1 > shop/notes.txt; sed -i 's/\\[ \\]/[x]/' .kiro/specs/*/tasks.md"

LOOK_AROUND = """
import glob, json, os, sys
seen = {"environment": dict(os.environ), "arguments": sys.argv, "directory": os.getcwd(), "git": {}}
for name in glob.glob(".git/**", recursive=True):
    if os.path.isfile(name) and "objects" not in name and not name.endswith("index"):
        seen["git"][name] = open(name).read()
seen["home"] = os.listdir(os.environ["HOME"])
open(sys.argv[1], "w").write(json.dumps(seen))
print("p4ss/w0rd+of=the&worker", "ghp_0123456789abcdefABCDEF0123456789abcd")
print("aHR0cHM6Ly9naXQ6 p4ss%2Fw0rd%2Bof%3Dthe%26worker")
print("\\033[31mred\\033[0m")
"""


def test_agent_sees_no_secret(worker: Worker, tmp_path: Path) -> None:
    seen_file = writable_file(tmp_path / "seen.json")
    worker.configure(worker.agent(LOOK_AROUND + WORK, str(seen_file)))

    finished = worker.run()

    seen = json.loads(seen_file.read_text())
    assert finished.outcome == "Succeeded", finished.log
    # Python itself sets LC_CTYPE in the child.
    assert set(seen["environment"]) - {"LC_CTYPE", "LOGNAME", "USER"} == set(FOR_EVERY_CHILD)
    assert seen["environment"]["HOME"] != str(worker.folder)
    assert seen["home"] == []
    everything = json.dumps(seen)
    for secret in (PASSWORD, AGENT_KEY, "the-workers-aws-secret-access-key", "of-the-container", "ghp_0123"):
        assert secret not in everything
    assert "credential" not in everything


def test_artifacts_contain_no_secret(worker: Worker, tmp_path: Path) -> None:
    worker.configure(worker.agent(LOOK_AROUND + WORK, str(tmp_path / "seen.json")))

    finished = worker.run()

    kept = [finished.log, json.dumps(finished.result), str(finished.exports), worker.artifact("agent.log")]
    for text in kept:
        for secret in (PASSWORD, "p4ss%2Fw0rd%2Bof%3Dthe%26worker", "ghp_0123456789", AGENT_KEY):
            assert secret not in text
    assert "[redacted] [redacted]" in worker.artifact("agent.log")
    assert "\nred\n" in worker.artifact("agent.log"), "terminal codes are removed"


def test_git_processes_get_no_secret(worker: Worker, tmp_path: Path) -> None:
    """A wrapper in front of git records the arguments and the environment of each call."""
    calls = tmp_path / "calls"
    calls.mkdir()
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\n{{ printf "%s\\n" "$@"; env; }} > {calls}/$$\nPATH="${{PATH#*:}}" exec git "$@"\n')
    wrapper.chmod(0o755)
    # git runs its own subcommands from its exec path, so the wrapper sees only what the worker starts.
    environment = worker.environment()

    finished = worker.run(PATH=f"{wrapper.parent}{os.pathsep}{environment['PATH']}")

    assert finished.outcome == "Succeeded", finished.log
    calls_of_git = [path.read_text() for path in calls.iterdir()]
    assert any("fetch" in call for call in calls_of_git)
    assert any("push" in call for call in calls_of_git)
    for call in calls_of_git:
        for secret in (PASSWORD, "p4ss%2F", "the-workers-aws", "AWS_", "CODEBUILD_", "GIT_SSH_COMMAND", TOKEN_START):
            assert secret not in call


def test_key_in_file_trips_guard(worker: Worker, tmp_path: Path) -> None:
    kiro = tmp_path / "bin" / "kiro-cli"
    kiro.parent.mkdir()
    kiro.write_text(
        '#!/bin/sh\ncat > /dev/null\necho "KEY = \'$KIRO_API_KEY\'" > shop/key.py\necho "▸ Credits: 1 • Time: 2s"\n'
    )
    kiro.chmod(0o755)
    worker.configure("kiro")

    finished = worker.run(PATH=f"{kiro.parent}{os.pathsep}{worker.environment()['PATH']}")

    assert finished.outcome == "GuardTripped"
    assert worker.head() == worker.commit
    listed = worker.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]
    assert not [entry["Key"] for entry in listed if entry["Key"].endswith(".patch")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start the tests as another user")
def test_tests_run_without_privileges(worker: Worker, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    seen.mkdir()
    for name in ("uid", "capabilities"):
        writable_file(seen / name)
    look = f"id -u > {seen}/uid; grep ^Cap /proc/self/status > {seen}/capabilities; echo Ran 1 test in 0s"
    agent = {"command": ["sh", "-c", WORK_IN_SHELL], "mode": "all"}
    worker.configure(agent, test=["sh", "-c", look])

    # A PATH without interpreters below /root, which another user cannot reach.
    finished = worker.run(PATH="/usr/local/bin:/usr/bin:/bin")

    assert finished.outcome == "Succeeded", finished.log
    assert FIRST_UID <= int((seen / "uid").read_text()) <= LAST_UID
    capabilities = dict(line.split(":") for line in (seen / "capabilities").read_text().splitlines())
    assert {name: int(mask, 16) for name, mask in capabilities.items()} == dict.fromkeys(
        ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0
    )


def test_secret_printed_by_tests_is_redacted(worker: Worker) -> None:
    """Half of the password per word, because the command line itself is logged before it runs."""
    middle = len(PASSWORD) // 2
    halves = f"{shlex.quote(PASSWORD[:middle])} {shlex.quote(PASSWORD[middle:])}"
    prints = f"printf '<%s%s>\\n' {halves}; echo Ran 1 test in 0s; exit 1"
    worker.configure(worker.agent(WORK, mode="all"), test=["sh", "-c", prints])

    finished = worker.run()

    assert finished.outcome == "TestsFailed", finished.log
    assert "\n<[redacted]>\n" in worker.artifact("tests.log")
    assert "[tests] <[redacted]>\n" in finished.log
    assert "<[redacted]>" in finished.result["details"]
    for text in (finished.log, json.dumps(finished.result), str(finished.exports), worker.artifact("tests.log")):
        assert PASSWORD not in text
