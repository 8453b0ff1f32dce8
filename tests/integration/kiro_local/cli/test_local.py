from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from kiro_worker.executions.follow import wait_for
from kiro_worker.executions.history import read_run

pytestmark = pytest.mark.e2e


class Up:
    """`kiro-worker local up` in its own process, whose output can be read while it runs."""

    def __init__(self, *arguments: str, output: Path) -> None:
        self._output = output
        with output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", "kiro_worker.cli", "local", "up", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "COLUMNS": "200"},
            )

    @property
    def printed(self) -> str:
        return self._output.read_text()

    def find(self, pattern: str) -> str:
        found: list[str] = []

        def matches() -> bool:
            found[:] = re.findall(pattern, self.printed)
            assert found or self.process.poll() is None, self.printed
            return bool(found)

        wait_until(matches)
        return found[0]

    def client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]  # any service
            endpoint_url=self.find(r"AWS endpoint: (\S+)"),
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.1)


def children(pid: int) -> list[str]:
    found = subprocess.run(["ps", "-o", "args=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.splitlines()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(*arguments: str) -> Up:
        started.append(Up(*arguments, output=tmp_path / f"up-{len(started)}.log"))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait(timeout=30)


def test_other_process_controls_executions(up: Callable[..., Up], open_folder: Path) -> None:
    proceed = open_folder / "proceed"
    agent = open_folder / "agent.py"
    agent.write_text(
        "import pathlib, sys, time\nsys.stdin.read()\n"
        f"while not pathlib.Path({str(proceed)!r}).exists(): time.sleep(0.05)\n"
        "open('NOTES.md', 'a').write('done')\n"
    )
    running = up("--every", "0", "--agent-command", f"{sys.executable} {agent}")
    client = running.client("stepfunctions")
    [machine] = [m for m in client.list_state_machines()["stateMachines"] if m["name"] == "kiro-worker-test"]
    arn = client.start_execution(stateMachineArn=machine["stateMachineArn"], input="{}")["executionArn"]
    wait_until(lambda: any(state.name == "RunBuild" for state in read_run(client, arn).states))
    assert client.describe_execution(executionArn=arn)["status"] == "RUNNING"
    client.stop_execution(executionArn=arn, cause="lunch")
    assert client.describe_execution(executionArn=arn)["status"] == "ABORTED"
    dynamodb = running.client("dynamodb")
    wait_until(lambda: "owner" not in dynamodb.scan(TableName="kiro-worker-test-locks")["Items"][0])
    proceed.touch()
    client.redrive_execution(executionArn=arn)
    run = wait_for(client, arn)
    assert (run.status, run.outcome, run.redrives) == ("SUCCEEDED", "Succeeded", 1)
    events = client.get_execution_history(executionArn=arn)["events"]
    assert "ExecutionRedriven" in [event["type"] for event in events]
    # The run that this one started rejects the other cards.
    machine_arn = machine["stateMachineArn"]
    wait_until(lambda: not client.list_executions(stateMachineArn=machine_arn, statusFilter="RUNNING")["executions"])
    assert running.stop() == 0
    assert "nothing is left running" in running.printed


def test_schedule_ticks_and_stop_cleans_up(up: Callable[..., Up]) -> None:
    running = up("--every", "1")
    board = running.find(r"Board and pull requests: (\S+)")
    running.find(r"(SUCCEEDED +NothingToDo.*3 state transitions)")
    assert (
        "Discounts on whole orders"
        in requests.get(board, timeout=10).text + requests.get(f"{board}/orgs/acme/projects/1", timeout=10).text
    )
    pid, endpoint = running.process.pid, running.find(r"AWS endpoint: (\S+)")
    assert children(pid)
    assert running.stop() == 0
    with pytest.raises(requests.ConnectionError):
        requests.get(endpoint, timeout=5)
    assert children(pid) == []


def test_board_and_config_files_are_used(up: Callable[..., Up], tmp_path: Path) -> None:
    (tmp_path / "board.yaml").write_text(
        "repositories:\n  - {name: mine/tool, files: {README.md: hello}}\n"
        "projects:\n  - owner: mine\n    number: 3\n    cards: [{draft: An idea, status: For Implementation}]\n"
    )
    configuration = {
        "organization": "mine",
        "repository": "tool",
        "projectNumber": 3,
        "targetStatusColumn": "For Implementation",
        "repositoryDefaults": {"agent": {"command": ["true"]}},
    }
    (tmp_path / "config.json").write_text(json.dumps(configuration))
    running = up("--every", "1", "--board", str(tmp_path / "board.yaml"), "--config", str(tmp_path / "config.json"))
    running.find(r"RejectWorkItem +(the card is a draft)")
    assert running.stop() == 0


def test_failure_names_file_to_edit(up: Callable[..., Up], tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(
        json.dumps({"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Redy"})
    )
    running = up("--every", "1", "--config", str(file))
    fix = running.find(r"FAILED  StatusNotFound: [^\n]*\n  How to fix on this machine: ([^\n]*)")
    assert fix == f"edit {file}, then start kiro-worker local up again"
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--config", "missing.json"], "missing.json"),
        (["--config", "{broken}"], "neither JSON nor YAML"),
        (["--config", "{unknown}"], 'did you mean "projectNumber"'),
        (["--config", "{unknown}"], "How to fix: edit {unknown}, which must have at least"),
        (["--config", "{placeholder}"], "How to fix: edit {placeholder}, "),
        (["--config", "{dated}"], "targetStatusColumn"),
        (["--config", "/"], "cannot be read"),
        (["--agent-command", ""], "--agent-command is empty"),
        (["--agent-command", "agent 'x"], "No closing quotation"),
        (["--board", "{broken}"], "neither JSON nor YAML"),
        (["--board", "{unknown}"], "organization"),
        (["--github-api-url", "https://api.github.com/graphql"], "--git-url"),
        (
            [
                "--config",
                "{good}",
                "--github-api-url",
                "http://x",
                "--git-url",
                "http://x",
                "--github-token-env",
                "UNSET_",
            ],
            "UNSET_",
        ),
        (["--port", "70000"], "--port"),
    ],
)
def test_wrong_option_is_named_without_traceback(
    up: Callable[..., Up], tmp_path: Path, arguments: list[str], expected: str
) -> None:
    good = {"organization": "a", "repository": "b", "projectNumber": 1, "targetStatusColumn": "x"}
    unknown = {key: value for key, value in good.items() if key != "projectNumber"} | {"projectNumbr": 1}
    files = {
        "broken": "{a: [",
        "unknown": json.dumps(unknown),
        "good": json.dumps(good),
        "placeholder": json.dumps(good | {"organization": "your-org"}),
        "dated": "organization: a\nrepository: b\nprojectNumber: 1\ntargetStatusColumn: [2026-01-01]\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    paths = {f"{{{name}}}": str(tmp_path / name) for name in files}
    running = up(*(paths.get(argument, argument) for argument in arguments))
    assert running.process.wait(timeout=60) in (1, 2)
    for name, path in paths.items():
        expected = expected.replace(name, path)
    # Typer breaks and frames its lines.
    assert "".join(expected.split()) in "".join(running.printed.replace("│", "").split())
    assert "aws ssm" not in running.printed
    assert "Traceback" not in running.printed
