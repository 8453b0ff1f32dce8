"""``python -m kiro_worker.build``: what buildspec.yml runs. The edges are wired here, and here alone an error becomes
an outcome and an exit code: 0 for Succeeded, 1 for everything else.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3

from kiro_worker.build import job as jobs
from kiro_worker.build.git import GitFailed
from kiro_worker.build.log import Log, Redaction
from kiro_worker.build.outcome import Record, Stopped
from kiro_worker.build.report import Place, report
from kiro_worker.build.run import Edges, run
from kiro_worker.config import load_agent_key, load_configuration, load_git_credentials, load_github_token
from kiro_worker.errors import ConfigurationMissing, KiroWorkerError, LockError
from kiro_worker.github.client import github_session
from kiro_worker.lock import LockTable
from kiro_worker.lock_owner import owner_is_running
from kiro_worker.models import Outcome
from kiro_worker.slots import release_slot_of_build

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from kiro_worker.build.job import BuildJob

_REQUIRED = ("CONFIG_PARAMETER_NAME", "LOCKS_TABLE_NAME", "LOCK_LEASE_SECONDS", "GIT_CREDENTIALS_SECRET_ARN")


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what the environment names, and report it whatever happens."""
    parser = argparse.ArgumentParser(prog="python -m kiro_worker.build", description=__doc__)
    parser.add_argument("--branch", metavar="NAME", help="as BRANCH_NAME in the environment")
    chosen = parser.parse_args(arguments)
    environment = dict(os.environ) | ({"BRANCH_NAME": chosen.branch} if chosen.branch else {})
    redaction = Redaction()
    log = Log(redaction)
    signal.signal(signal.SIGTERM, _stopped_from_outside)
    workspace = Path(tempfile.mkdtemp(prefix="kiro-worker-"))
    try:
        return _build_and_report(environment, workspace, log, redaction)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _build_and_report(environment: Mapping[str, str], workspace: Path, log: Log, redaction: Redaction) -> int:
    record, job, started = Record(), None, time.monotonic()
    logs = workspace / "logs"
    logs.mkdir()
    try:
        edges = _edges(environment, workspace, logs, log, redaction)
        job = _job(environment, edges)
        try:
            run(job, edges, record)
        finally:
            # No state machine frees what a build started by hand has taken.
            if job.started_by_hand and record.fence:
                release_slot_of_build(edges.locks, record.slot, job.owner)
                edges.locks.release(replace(job.lease, fence=record.fence))
    except Stopped as stop:
        record.stopped(stop)
    except LockError as error:
        record.stopped(Stopped(Outcome.LOCK_LOST, error.what, error.remedy))
    except KiroWorkerError as error:
        record.stopped(Stopped(Outcome.WORKER_FAILED, f"{type(error).__name__}: {error.what}", error.remedy))
    except GitFailed as error:
        record.stopped(Stopped(Outcome.WORKER_FAILED, f"git {error.command} failed", details=error.error))
    except Exception as error:  # noqa: BLE001  # the one place: whatever went wrong, the state machine is told
        record.stopped(Stopped(Outcome.WORKER_FAILED, f"{type(error).__name__}: {error}"))
        log.say(traceback.format_exc())
    record.seconds = time.monotonic() - started
    place = Place.of(environment, job)
    folder = Path(environment.get("CODEBUILD_SRC_DIR") or Path.cwd())
    trouble = report(record, job, place, folder=folder, logs=logs, redact=redaction, s3=lambda: boto3.client("s3"))
    log.say(trouble)
    log.say(f"── {record.outcome}")
    log.say("\n".join(filter(None, (record.reason, record.remedy and f"To mend it: {record.remedy}", record.details))))
    return 0 if record.outcome is Outcome.SUCCEEDED else 1


def _edges(environment: Mapping[str, str], workspace: Path, logs: Path, log: Log, redaction: Redaction) -> Edges:
    if missing := [name for name in _REQUIRED if not environment.get(name)]:
        raise ConfigurationMissing(
            f"the build's environment lacks {', '.join(missing)}", "the CodeBuild project sets them: make deploy"
        )
    secrets = boto3.client("secretsmanager")
    return Edges(
        configuration=load_configuration(boto3.client("ssm"), environment["CONFIG_PARAMETER_NAME"]),
        locks=LockTable(
            boto3.client("dynamodb"),
            environment["LOCKS_TABLE_NAME"],
            int(environment["LOCK_LEASE_SECONDS"]),
            owner_is_running(boto3.client("stepfunctions"), lambda: boto3.client("codebuild")),
        ),
        load_git_credentials=lambda: load_git_credentials(secrets, environment["GIT_CREDENTIALS_SECRET_ARN"]),
        load_agent_key=lambda: load_agent_key(secrets, environment.get("KIRO_API_KEY_SECRET_ARN", "")),
        environment=environment,
        workspace=workspace,
        logs=logs,
        log=log,
        redaction=redaction,
    )


def _job(environment: Mapping[str, str], edges: Edges) -> BuildJob:
    """The state machine's job, or, with BRANCH_NAME alone, what GitHub says about that branch."""
    if jobs.is_complete(environment):
        return jobs.from_environment(environment)
    token = load_github_token(boto3.client("secretsmanager"), environment.get("GITHUB_TOKEN_SECRET_ARN", ""))
    edges.redaction.know(token)
    owner = environment.get("CODEBUILD_BUILD_ARN") or f"local-build-{uuid4()}"
    return asyncio.run(_ask_github(environment, edges, token, owner))


async def _ask_github(environment: Mapping[str, str], edges: Edges, token: str, owner: str) -> BuildJob:
    async with github_session(edges.configuration.github_api_url, token) as session:
        return await jobs.from_branch(
            session,
            edges.configuration,
            environment.get("BRANCH_NAME", ""),
            owner,
            environment.get("REPOSITORY", ""),
        )


def _stopped_from_outside(number: int, _frame: FrameType | None) -> None:
    # Once is enough: a second signal must not keep the report from being written.
    signal.signal(number, signal.SIG_IGN)
    raise Stopped(Outcome.WORKER_FAILED, f"the build was stopped ({signal.Signals(number).name})")


if __name__ == "__main__":
    sys.exit(main())
