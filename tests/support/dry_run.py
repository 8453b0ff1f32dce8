"""A dry run as a person starts it on a laptop, with a check that it changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.worker import AGENT_KEY, BRANCH, BUCKET, LOCK_KEY, PASSWORD, ROOT, TABLE, TOKEN, Worker

NO_AWS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_ENDPOINT_URL": "", "AWS_DEFAULT_REGION": ""}
_READS = ("ValidateWorkItem", "CompareFiles", "FindSpec", "ReadSpec", "ReadMergeable", "ReadLabels", "ReadPermission")


@dataclass
class DryRun:
    """What a dry run printed."""

    exit_code: int
    out: str
    error: str

    @property
    def document(self) -> dict[str, Any]:
        """Return the output of ``--json``."""
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def outcomes(self) -> list[str]:
        """Return the outcome of everything that would stop the build."""
        return [stop["outcome"] for stop in self.document["stops"]]

    @property
    def lines(self) -> dict[str, str]:
        """Return the sentences of the plan by topic."""
        return {line[:12].strip(): line[12:] for line in self.out.splitlines()}


def dry_run(worker: Worker, *arguments: str, **variables: str) -> DryRun:
    """Run ``python -m kiro_worker.runner --dry-run`` to its end; an empty variable is not set at all."""
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
    before = _everything(worker)
    done = subprocess.run(
        [sys.executable, "-m", "kiro_worker.runner", "--dry-run", *arguments],
        cwd=worker.folder,
        env={name: value for name, value in environment.items() if value},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert _everything(worker) == before
    assert not any(secret in done.stdout + done.stderr for secret in (TOKEN, PASSWORD, AGENT_KEY))
    return DryRun(done.returncode, done.stdout, done.stderr)


def dry_run_on_aws(worker: Worker, *arguments: str, **variables: str) -> DryRun:
    """Run it against the deployed environment ``test``."""
    return dry_run(worker, "--branch", BRANCH, "--environment", "test", *arguments, **variables)


def dry_run_without_aws(worker: Worker, config: Path, *arguments: str, **variables: str) -> DryRun:
    """Run it with the configuration file ``config``, and with no credentials for AWS."""
    return dry_run(worker, "--branch", BRANCH, "--config", str(config), *arguments, **{**NO_AWS, **variables})


def free_lock(worker: Worker) -> None:
    """Free the lock that the ``worker`` fixture holds."""
    worker.client("dynamodb").delete_item(TableName=TABLE, Key={"lockKey": {"S": LOCK_KEY}})


def _everything(worker: Worker) -> dict[str, Any]:
    return {
        "lock": worker.lock(),
        "branches": worker.repository.git.run("for-each-ref"),
        "artifacts": worker.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", []),
        "writes to the board": [
            request.operation for request in worker.github.requests.graphql() if request.operation not in _READS
        ],
        "files": sorted(path for path in worker.folder.rglob("*") if "cache" not in str(path)),
    }
