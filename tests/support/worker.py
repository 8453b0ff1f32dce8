"""The runner, run as CodeBuild runs it: in its own process, against a real git server and an emulated AWS over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3

from kiro_local.github.model import Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.records.checkpoints import checkpoint_ref
from tests.support.settings import parameter

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "kiro_local" / "demo" / "repository"
SCRIPTED_AGENT = ROOT / "kiro_local" / "demo" / "scripted_agent.py"
BRANCH = "feature/discounts"
CHECKPOINT = checkpoint_ref(BRANCH)
BUILD = "arn:aws:codebuild:us-east-1:123456789012:build/kiro-worker-test:5f2c"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:run-1"
FENCE = 1_700_000_000_000
LOCK_KEY = "work-item-processor-lock"
TOKEN = "ghp_0123456789abcdefABCDEF0123456789abcd"
PASSWORD = "p4ss/w0rd+of=the&worker"
AGENT_KEY = "the-agents-own-key-42"
TABLE = "kiro-worker-test-locks"
RECORDS = "kiro-worker-test-records"
BUCKET = "kiro-worker-test-artifacts"
PARAMETER = "/kiro-worker/test/github-project-config"
WORK = """
import pathlib
with open("shop/notes.py", "a") as notes:
    notes.write("NOTES = 1\\n")
"""
"""An agent that changes a file in every turn. Tests put other code in front of it."""
FOR_EVERY_CHILD = (
    *("EMAIL", "GIT_TERMINAL_PROMPT", "GRADLE_USER_HOME", "HOME", "LANG", "MAVEN_OPTS", "MAVEN_USER_HOME"),
    *("PATH", "TERM", "TMPDIR"),
)
"""The variables that agent, setup and tests get; those with an account also have USER and LOGNAME."""
_TICK_ALL = """
import pathlib as _pathlib
for _tasks in _pathlib.Path(".kiro/specs").glob("*/tasks.md"):
    _tasks.write_text(_tasks.read_text().replace("- [ ]", "- [x]"))
"""


def writable_file(path: Path) -> Path:
    """Create an empty file that an agent, which runs as another user, can write to.

    A file that the agent creates itself would belong to its user, and the worker removes those before the gate.
    """
    path.touch()
    path.chmod(0o666)
    return path


@dataclass
class Finished:
    """What one run of the runner printed, wrote and exported."""

    exit_code: int
    log: str
    result: dict[str, Any]
    exports: dict[str, str]
    folder: Path

    @property
    def outcome(self) -> str:
        return str(self.result["outcome"])


ANSWERS_TRIAL: Final = """#!/bin/sh
prompt=$(cat)
case "$prompt" in "Reply with OK."*) echo '▸ Credits: 0.01 • Time: 1s'; exit 0;; esac
"""
"""The beginning of a stand-in for the Kiro CLI: it answers a trial turn, and goes on with the prompt of any other."""


@dataclass
class Worker:
    """The runner and all it needs: ``configure`` and ``hold_lock`` prepare a run, ``run`` runs it to its end."""

    folder: Path
    aws: dict[str, str]
    github: StandInGitHub
    repository: Repository
    secrets: dict[str, str] = field(default_factory=dict)
    commit: str = ""

    def client(self, service: str) -> Any:
        """Return a boto3 client of the emulated AWS."""
        return boto3.client(service, **self.aws)  # type: ignore[call-overload]  # the service is not a literal

    def configure(self, agent: Any = None, **more: Any) -> None:
        """Put the configuration parameter: the scripted agent unless ``agent`` is given, and the keys in ``more``.

        Keys of a repository become the defaults of all repositories.
        """
        document = {
            "organization": "acme",
            "repository": "shop",
            "projectNumber": 1,
            "targetStatusColumn": "For Implementation",
            "githubApiUrl": self.github.graphql_url,
            "gitUrl": self.github.git_url,
        }
        repository: dict[str, Any] = {
            "agent": agent or {"command": [sys.executable, str(SCRIPTED_AGENT)]},
            "setup": [],
            "coverage": {"threshold": None},
            "baseline": "off",
        }
        document = parameter(document, repository, more)
        self.client("ssm").put_parameter(Name=PARAMETER, Type="String", Overwrite=True, Value=json.dumps(document))

    def agent(self, code: str, *arguments: str, timeout_minutes: int = 1, mode: str = "task") -> dict[str, Any]:
        """Return the configuration of an agent that is the Python program ``code``.

        With ``mode`` ``all`` it ticks every box before that, because only ticked tasks are done then.
        """
        script = self.folder / f"agent-{len(list(self.folder.iterdir()))}.py"
        script.write_text((_TICK_ALL if mode == "all" else "") + code)
        return {"command": [sys.executable, str(script), *arguments], "timeoutMinutes": timeout_minutes, "mode": mode}

    def hold_lock(self, owner: str = EXECUTION, fence: int = FENCE, key: str = LOCK_KEY) -> None:
        """Write a held lock into the table, over any other holder."""
        self.client("dynamodb").put_item(
            TableName=TABLE,
            Item={
                "lockKey": {"S": key},
                "owner": {"S": owner},
                "fence": {"N": str(fence)},
                "acquiredAt": {"S": "2026-01-01T00:00:00.000Z"},
                "expiresAt": {"N": str(int(time.time()) + 7200)},
            },
        )

    def start_execution(self, arn: str = EXECUTION) -> None:
        """Start the execution that the build belongs to, because a build of an ended execution may not hold the lock.

        The emulator only records it, so it runs until a test stops it.
        """
        *_, machine, name = arn.split(":")
        states = self.client("stepfunctions")
        created = states.create_state_machine(
            name=machine, definition="{}", roleArn="arn:aws:iam::123456789012:role/states"
        )
        states.start_execution(stateMachineArn=created["stateMachineArn"], name=name)

    def lock(self) -> dict[str, Any]:
        """Return the lock's item, empty if there is none."""
        item = self.client("dynamodb").get_item(TableName=TABLE, Key={"lockKey": {"S": LOCK_KEY}}).get("Item", {})
        return {key: next(iter(value.values())) for key, value in item.items()}

    def environment(self, **overrides: str) -> dict[str, str]:
        """Return what CodeBuild sets for a build of the state machine; an empty override removes a variable."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "AWS_ENDPOINT_URL": self.aws["endpoint_url"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIATESTTESTTESTTEST",
            "AWS_SECRET_ACCESS_KEY": "the-workers-aws-secret-access-key",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/of-the-container",
            "CODEBUILD_SRC_DIR": str(self.folder / "src"),
            "CODEBUILD_BUILD_ID": "kiro-worker-test:5f2c",
            "CODEBUILD_BUILD_ARN": BUILD,
            "CODEBUILD_BUILD_NUMBER": "7",
            "GIT_SSH_COMMAND": "false",
            "CONFIG_PARAMETER_NAME": PARAMETER,
            "LOCKS_TABLE_NAME": TABLE,
            "RECORDS_TABLE_NAME": RECORDS,
            "LOCK_LEASE_SECONDS": "7200",
            "ARTIFACTS_BUCKET_NAME": BUCKET,
            "GITHUB_TOKEN_SECRET_NAME": self.secrets["github-token"],
            "GIT_CREDENTIALS_SECRET_NAME": self.secrets["git-credentials"],
            "KIRO_API_KEY_SECRET_NAME": self.secrets["kiro-api-key"],
            "WORK_ITEM_ID": "PVTI_1",
            "REPOSITORY": "acme/shop",
            "BRANCH_NAME": BRANCH,
            "COMMIT_SHA": self.commit,
            "DEFAULT_COMMIT_SHA": self.repository.git.head_of(self.repository.git.default_branch()) or "",
            "SPEC_PATH": ".kiro/specs/feature-discounts",
            "PULL_REQUEST_NUMBER": "1",
            "LOCK_KEY": LOCK_KEY,
            "LOCK_FENCE": str(FENCE),
            "EXECUTION_ARN": EXECUTION,
        }
        return {key: value for key, value in (environment | overrides).items() if value}

    def run(self, *arguments: str, **overrides: str) -> Finished:
        """Run the runner to its end in this environment, and return what it left."""
        source = self.folder / "src"
        source.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "kiro_worker.runner", *arguments],
            cwd=source,
            env=self.environment(**overrides),
            capture_output=True,
            text=True,
            timeout=120,
        )
        shown = subprocess.run(
            ["sh", "-c", ". ./result.env; env -0"], cwd=source, env={"PATH": os.environ["PATH"]}, capture_output=True
        )
        exports = dict(pair.split("=", 1) for pair in shown.stdout.decode().split("\0") if "=" in pair)
        result = json.loads((source / "result.json").read_text())
        return Finished(done.returncode, done.stdout + done.stderr, result, exports, source)

    def head(self) -> str:
        """Return the commit that the branch is at."""
        return self.repository.git.head_of(BRANCH) or ""

    def checkpoint(self) -> str:
        """Return the commit that the checkpoint is at, empty if there is none."""
        checkpoint = self.repository.git.refs().get(CHECKPOINT)
        return checkpoint.oid if checkpoint else ""

    def file(self, path: str, commit: str = BRANCH) -> str:
        """Return a file as committed."""
        return self.repository.git.run("show", f"{commit}:{path}").decode()

    def artifact(self, name: str) -> str:
        """Return an artifact of the run."""
        key = f"runs/run-1/7/{name}"
        return str(self.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read().decode())
