"""What agent, tests, git and logs get to see of the worker: no secret, and no privilege."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.support.worker import AGENT_KEY, BUCKET, PASSWORD, WORK, Worker

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
    seen_file = tmp_path / "seen.json"
    worker.configure(worker.agent(LOOK_AROUND + WORK, str(seen_file)))

    finished = worker.run()

    seen = json.loads(seen_file.read_text())
    assert finished.outcome == "Succeeded", finished.log
    # LC_CTYPE is Python's own doing in the child.
    assert set(seen["environment"]) - {"LC_CTYPE"} == {"PATH", "HOME", "LANG", "TERM"}
    assert seen["environment"]["HOME"] != str(worker.folder)
    assert seen["home"] == []
    everything = json.dumps(seen)
    for secret in (PASSWORD, AGENT_KEY, "the-workers-aws-secret-access-key", "of-the-container", "ghp_0123"):
        assert secret not in everything
    assert "credential" not in everything


def test_log_result_and_artifacts_hold_no_secret(worker: Worker, tmp_path: Path) -> None:
    worker.configure(worker.agent(LOOK_AROUND + WORK, str(tmp_path / "seen.json")))

    finished = worker.run()

    kept = [finished.log, json.dumps(finished.result), str(finished.exports), worker.artifact("agent.log")]
    for text in kept:
        for secret in (PASSWORD, "p4ss%2Fw0rd%2Bof%3Dthe%26worker", "ghp_0123456789", AGENT_KEY):
            assert secret not in text
    assert "[redacted] [redacted]" in worker.artifact("agent.log")
    assert "\nred\n" in worker.artifact("agent.log"), "terminal codes are stripped"


def test_git_processes_get_no_secret(worker: Worker, tmp_path: Path) -> None:
    """A git that notes how it was called, in front of the real one."""
    calls = tmp_path / "calls"
    calls.mkdir()
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\n{{ printf "%s\\n" "$@"; env; }} > {calls}/$$\nPATH="${{PATH#*:}}" exec git "$@"\n')
    wrapper.chmod(0o755)
    # `git` runs further gits from its own exec path; this one sees those that the worker starts.
    environment = worker.environment()

    finished = worker.run(PATH=f"{wrapper.parent}{os.pathsep}{environment['PATH']}")

    assert finished.outcome == "Succeeded", finished.log
    noted = [path.read_text() for path in calls.iterdir()]
    assert any("fetch" in note for note in noted)
    assert any("push" in note for note in noted)
    for note in noted:
        for secret in (PASSWORD, "p4ss%2F", "the-workers-aws", "AWS_", "CODEBUILD_", "GIT_SSH_COMMAND", TOKEN_START):
            assert secret not in note


TOKEN_START = "ghp_0123"


def test_key_in_a_file_trips_the_guard(worker: Worker, tmp_path: Path) -> None:
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
