"""What a build would do, told without doing any of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.worker import AGENT_KEY, BRANCH, BUCKET, EXECUTION, PARAMETER, PASSWORD, ROOT, TOKEN

TASKS = ".kiro/specs/feature-discounts/tasks.md"
NO_AWS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ENDPOINT_URL": "", "AWS_DEFAULT_REGION": ""}


@dataclass
class Told:
    exit_code: int
    out: str
    error: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def outcomes(self) -> list[str]:
        return [stop["outcome"] for stop in self.document["stops"]]


def dry_run(worker: Any, *arguments: str, **variables: str) -> Told:
    """As on somebody's laptop, and proof that nothing anywhere is other than before."""
    temporary = worker.folder / "temporary"
    temporary.mkdir(exist_ok=True)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(worker.folder),
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(temporary),
        "AWS_ENDPOINT_URL": worker.aws["endpoint_url"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        **variables,
    }
    before = everything(worker)
    done = subprocess.run(
        [sys.executable, "-m", "kiro_worker.runner", "--dry-run", *arguments],
        cwd=worker.folder,
        env={name: value for name, value in environment.items() if value},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert everything(worker) == before
    assert not any(secret in done.stdout + done.stderr for secret in (TOKEN, PASSWORD, AGENT_KEY))
    return Told(done.returncode, done.stdout, done.stderr)


def everything(worker: Any) -> dict[str, Any]:
    return {
        "lock": worker.lock(),
        "branches": worker.repository.git.run("for-each-ref"),
        "artifacts": worker.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", []),
        "board": [
            progress.operation
            for progress in worker.github.requests.graphql()
            if progress.operation != "ValidateWorkItem"
        ],
        "files": sorted(path for path in worker.folder.rglob("*") if "cache" not in str(path)),
    }


def on_aws(worker: Any, *more: str, **variables: str) -> Told:
    return dry_run(worker, "--branch", BRANCH, "--environment", "test", *more, **variables)


@pytest.fixture
def config(worker: Any) -> str:
    """The deployed configuration as a file."""
    value = worker.client("ssm").get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    (worker.folder / "project.json").write_text(value)
    return str(worker.folder / "project.json")


def free(worker: Any) -> None:
    worker.client("dynamodb").delete_item(
        TableName="kiro-worker-test-locks", Key={"lockKey": {"S": "work-item-processor-lock"}}
    )


def test_it_goes_without_aws_and_tells_every_step(worker: Any, config: str) -> None:
    told = dry_run(worker, "--branch", BRANCH, "--config", config, GITHUB_TOKEN=TOKEN, **NO_AWS)

    assert told.exit_code == 0, told.out + told.error
    lines = {line[:12].strip(): line[12:] for line in told.out.splitlines()}
    assert lines["job"].startswith(f"acme/shop {BRANCH} at {worker.commit[:12]}, pull request #1, spec in .kiro/specs/")
    assert "not checked without AWS" in lines["lock"]
    assert lines["guard"].startswith("guarded files are the same as on the default branch")
    assert lines["checkpoint"].startswith("none")
    assert "scripted_agent.py, at most 45 minutes a turn" in lines["agent"]
    assert [lines[f"turn {number}"][:3] for number in range(1, 6)] == ["1.1", "1.2", "1.3", "2.1", "2.2"]
    assert lines["tests"].startswith("python3 -m unittest discover") or "coverage run" in lines["tests"]
    assert lines["coverage"] == "not required"
    assert lines["push"].endswith(f"until then each finished task to kiro-worker/checkpoint/{BRANCH}")
    assert told.out.endswith("\nwould go\n")


def test_by_the_names_of_an_environment_it_reads_what_is_deployed(worker: Any) -> None:
    worker.configure(coverageThreshold=90, testCommand="make test", agent={"command": ["tool"], "mode": "all"})
    free(worker)

    told = on_aws(worker, "--json")

    assert (told.exit_code, told.outcomes) == (0, []), told.out
    document = told.document
    assert document["wouldGo"] is True
    assert document["job"]["commit"] == worker.commit
    assert document["lock"] == {"key": "work-item-processor-lock", "owner": None}
    assert [len(turn) for turn in document["turns"]] == [5], "all open tasks in one turn"
    assert document["agent"]["argv"] == ["tool"]
    assert document["tests"]["command"] == ["make", "test"]
    assert document["coverage"]["threshold"] == 90
    assert document["artifacts"].startswith("s3://kiro-worker-test-artifacts-123456789012-us-east-1/runs/")


def test_a_lock_that_a_running_execution_holds_would_stop_it_and_stays_as_it_is(worker: Any) -> None:
    told = on_aws(worker, "--json")

    assert (told.exit_code, told.outcomes) == (1, ["LockLost"])
    assert EXECUTION in told.document["stops"][0]["reason"]
    assert told.document["turns"], "what comes after it is told all the same"


def test_a_lock_of_an_execution_that_has_ended_would_be_taken_over(worker: Any) -> None:
    ended = EXECUTION.replace("run-1", "run-0")
    worker.hold_lock(ended)

    told = on_aws(worker)

    assert told.exit_code == 0, told.out
    assert f"would be taken over from {ended}" in told.out


def test_files_that_steer_the_agent_would_stop_it_by_name(worker: Any, config: str) -> None:
    worker.repository.git.commit(BRANCH, {"AGENTS.md": "Obey.\n"}, "Steer")

    told = dry_run(
        worker, "--branch", BRANCH, "--config", config, "--token-variable", "MY_TOKEN", MY_TOKEN=TOKEN, **NO_AWS
    )

    assert told.exit_code == 1
    assert "would stop: GuardTripped: " in told.out
    assert "AGENTS.md" in told.out
    assert "How to fix: merge the default branch" in told.out
    assert "\nturn 1" in told.out


def test_a_title_cannot_speak_to_the_terminal(worker: Any, config: str) -> None:
    worker.repository.git.commit(
        BRANCH, {TASKS: "# Tasks\n\n- [ ] 1. Say \x1b]0;owned\x07\x1b[31mred\u202e\n"}, "Speak"
    )

    told = dry_run(worker, "--branch", BRANCH, "--config", config, GITHUB_TOKEN=TOKEN, **NO_AWS)

    assert "turn 1      1 Say red\n" in told.out
    assert all(character.isprintable() or character == "\n" for character in told.out)


def test_everything_that_is_not_ready_is_named(worker: Any) -> None:
    worker.repository.git.commit(BRANCH, {TASKS: "# Tasks\n\n- [x] 1. Done\n"}, "Done")

    told = on_aws(worker, "--json")

    assert (told.exit_code, told.outcomes) == (1, ["WorkerFailed"])
    assert "has no open task" in told.document["stops"][0]["reason"]


def test_a_checkpoint_is_where_it_would_go_on(worker: Any) -> None:
    worker.configure(
        worker.agent(
            "import pathlib, sys\nif '\\n- 1.2' in sys.stdin.read(): sys.exit(3)\n"
            "pathlib.Path('shop/new.py').write_text('x')"
        )
    )
    assert worker.run().outcome == "AgentFailed"
    assert worker.checkpoint()
    free(worker)

    told = on_aws(worker, "--json")

    assert told.exit_code == 0, told.out
    assert told.document["checkpoint"] == {"commit": worker.checkpoint(), "startsAt": worker.checkpoint()}
    assert [turn[0][:3] for turn in told.document["turns"]] == ["1.2", "1.3", "2.1", "2.2"]


def test_a_project_without_tests_would_fail_at_the_gate(worker: Any) -> None:
    names = worker.repository.git.run("ls-tree", "-r", "--name-only", BRANCH).decode().split()
    worker.repository.git.commit(BRANCH, dict.fromkeys(name for name in names if "test" in name), "No tests")
    free(worker)

    told = on_aws(worker, "--json")

    assert (told.exit_code, told.outcomes) == (1, ["TestsFailed"])
    assert "testCommand" in told.document["stops"][0]["remedy"]


def test_a_token_that_github_refuses_is_told_by_name(worker: Any, config: str) -> None:
    told = dry_run(worker, "--branch", BRANCH, "--config", config, "--json", GITHUB_TOKEN="ghp_wrong", **NO_AWS)

    assert (told.exit_code, told.outcomes) == (1, ["WorkerFailed"])
    assert told.document["stops"][0]["reason"].startswith("GitHubTokenInvalid: ")


def test_without_credentials_for_aws_the_way_without_is_named(worker: Any) -> None:
    told = on_aws(worker, **{**NO_AWS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"})

    assert told.exit_code == 1
    assert "would stop: WorkerFailed: AWS does not answer: Unable to locate credentials" in told.out
    assert "--config FILE" in told.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "project.json"], "needs --branch"),
        (["--branch", BRANCH], "needs --environment NAME or --config FILE"),
        (["--branch", BRANCH, "--environment", "test", "--config", "x"], "needs --environment NAME or --config FILE"),
        (["--branch", BRANCH, "--config", "project.json"], "GITHUB_TOKEN is not set: export GITHUB_TOKEN="),
        (["--branch", BRANCH, "--config", "no-such-file"], "cannot be read"),
    ],
)
def test_what_cannot_be_asked_for_like_this_is_wrong_usage(
    worker: Any, config: str, arguments: list[str], said: str
) -> None:
    variables = {"GITHUB_TOKEN": TOKEN} if "no-such-file" in arguments else {}

    told = dry_run(worker, *arguments, **variables)

    assert told.exit_code == 2
    assert said in told.error
