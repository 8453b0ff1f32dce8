"""The program that :mod:`kiro_worker.runner.__main__` starts. The edges are wired here, and here alone an error becomes
an outcome and an exit code: 0 for Succeeded, 1 for everything else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from uuid import uuid4

from kiro_worker.config.parameter import load_configuration
from kiro_worker.config.secrets import load_agent_key, load_git_credentials, load_github_token
from kiro_worker.errors import BuildStopped, ConfigurationMissing, KiroWorkerError, LockHeld, with_remedy
from kiro_worker.lock.owner import owner_is_running
from kiro_worker.lock.slots import release_slot_of_build
from kiro_worker.lock.table import LockTable
from kiro_worker.outcomes import Outcome
from kiro_worker.runner import request as requests
from kiro_worker.runner.clients import Clients
from kiro_worker.runner.pipeline import Edges, run, stop_for
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.runner.report.log import Log, Redaction
from kiro_worker.runner.report.result import Place, report
from kiro_worker.runner.repository.git import GitFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from kiro_worker.github.labels import Labelling
    from kiro_worker.runner.request import BuildRequest

_REQUIRED = ("CONFIG_PARAMETER_NAME", "LOCKS_TABLE_NAME", "LOCK_LEASE_SECONDS", "GIT_CREDENTIALS_SECRET_ARN")


_EXAMPLES = """examples:
  python -m kiro_worker.runner --branch feature/x --dry-run --environment test
  GITHUB_TOKEN=$(gh auth token) python -m kiro_worker.runner --branch feature/x --dry-run --config project.json --json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what the environment names, and report it whatever happens."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.dry_run:
        return _dry_run(parser, chosen)
    if any(value for name, value in vars(chosen).items() if name != "branch"):
        parser.error("these options go with --dry-run")
    environment = dict(os.environ) | ({"BRANCH_NAME": chosen.branch} if chosen.branch else {})
    redaction = Redaction()
    log = Log(redaction)
    signal.signal(signal.SIGTERM, _stopped_from_outside)
    workspace = Path(tempfile.mkdtemp(prefix="kiro-worker-"))
    try:
        return _build_and_report(environment, workspace, log, redaction)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kiro_worker.runner",
        description="Build what the environment names, as CodeBuild does; or say what a build of a branch would do.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--branch", metavar="NAME", help="as BRANCH_NAME in the environment")
    dry = parser.add_argument_group(
        "dry run",
        "Takes no lock, starts no agent, writes nothing. Ends with 0 (would go), 1 (would stop) or 2 (usage).",
    )
    dry.add_argument(
        "--dry-run", action="store_true", help="say what would be done with --branch and what would stop it"
    )
    dry.add_argument("--environment", metavar="NAME", default="", help="test, staging …: read what is deployed on AWS")
    dry.add_argument("--config", metavar="FILE", type=Path, help="the configuration as JSON: go without AWS")
    dry.add_argument("--repository", metavar="OWNER/NAME", default="", help="default: the configuration's first")
    dry.add_argument(
        "--token-variable",
        metavar="VARIABLE",
        default="",
        help="the environment variable with the GitHub token; default: the secret, with --config GITHUB_TOKEN",
    )
    dry.add_argument(
        "--git-password-variable",
        metavar="VARIABLE",
        default="",
        help="the same for git's password; default: the secret, with --config the GitHub token",
    )
    dry.add_argument("--json", action="store_true", help="one JSON object for programs")
    return parser


def _dry_run(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> int:
    from kiro_worker.runner.dry_run import Options, dry_run

    if not chosen.branch:
        parser.error("--dry-run needs --branch NAME")
    if bool(chosen.environment) == bool(chosen.config):
        parser.error("--dry-run needs --environment NAME or --config FILE")
    options = Options(
        chosen.branch,
        chosen.environment,
        chosen.config,
        chosen.repository,
        chosen.token_variable,
        chosen.git_password_variable,
        chosen.json,
    )
    return dry_run(options, os.environ)


def _build_and_report(environment: Mapping[str, str], workspace: Path, log: Log, redaction: Redaction) -> int:
    progress, request, started, clients = BuildProgress(), None, time.monotonic(), Clients()
    logs = workspace / "logs"
    logs.mkdir()
    try:
        edges = _edges(environment, clients, workspace, logs, log, redaction)
        request = _request(environment, edges, clients)
        # Needed at the end only, and made while git waits for the server.
        Thread(target=clients, args=("s3",), daemon=True).start()
        try:
            run(request, edges, progress)
        finally:
            # No state machine frees what a build started by hand has taken.
            if request.started_by_hand and progress.fence:
                try:
                    release_slot_of_build(edges.locks, progress.slot, request.owner)
                finally:
                    edges.locks.release(replace(request.lease, fence=progress.fence))
    except LockHeld as error:
        # No place among the builds that may run at once: the card is this run's own, and is to be told.
        lost = Outcome.LOCK_LOST if request is None or request.started_by_hand else Outcome.WORKER_FAILED
        progress.stopped(BuildStopped(lost, error.reason, "redrive the execution when a build has ended"))
    except Exception as error:  # noqa: BLE001  # the one place: whatever went wrong, the state machine is told
        progress.stopped(stop_for(error))
        if not isinstance(error, (BuildStopped, KiroWorkerError, GitFailed)):
            log.say(traceback.format_exc())
    progress.seconds = time.monotonic() - started
    place = Place.of(environment, request)
    folder = Path(environment.get("CODEBUILD_SRC_DIR") or Path.cwd())
    trouble = report(progress, request, place, folder=folder, logs=logs, redact=redaction, s3=lambda: clients("s3"))
    log.say(trouble)
    log.say(f"── {progress.outcome}")
    log.say("\n".join(filter(None, (with_remedy(progress.reason, progress.remedy), progress.details))))
    return 0 if progress.outcome is Outcome.SUCCEEDED else 1


def _edges(
    environment: Mapping[str, str], clients: Clients, workspace: Path, logs: Path, log: Log, redaction: Redaction
) -> Edges:
    if missing := [name for name in _REQUIRED if not environment.get(name)]:
        raise ConfigurationMissing(
            f"the build's environment lacks {', '.join(missing)}", "the CodeBuild project sets them: make deploy"
        )
    edges = Edges(
        configuration=load_configuration(clients("ssm"), environment["CONFIG_PARAMETER_NAME"]),
        locks=LockTable(
            clients("dynamodb"),
            environment["LOCKS_TABLE_NAME"],
            int(environment["LOCK_LEASE_SECONDS"]),
            lambda owner: owner_is_running(clients("stepfunctions"), lambda: clients("codebuild"))(owner),
        ),
        load_git_credentials=lambda: load_git_credentials(
            clients("secretsmanager"), environment["GIT_CREDENTIALS_SECRET_ARN"]
        ),
        load_agent_key=lambda: load_agent_key(
            clients("secretsmanager"), environment.get("KIRO_API_KEY_SECRET_ARN", "")
        ),
        s3=lambda: clients("s3"),
        read_labelling=lambda request, label: _read_labelling(environment, edges, clients, request, label),
        environment=environment,
        workspace=workspace,
        logs=logs,
        log=log,
        redaction=redaction,
    )
    return edges


def _request(environment: Mapping[str, str], edges: Edges, clients: Clients) -> BuildRequest:
    """The state machine's job, or, with BRANCH_NAME alone, what GitHub says about that branch."""
    if requests.is_complete(environment):
        return requests.from_environment(environment)
    from kiro_worker.runner.github import job_of_branch

    token = _github_token(environment, edges, clients)
    owner = environment.get("CODEBUILD_BUILD_ARN") or f"local-build-{uuid4()}"
    branch, repository = environment.get("BRANCH_NAME", ""), environment.get("REPOSITORY", "")
    return job_of_branch(edges.configuration, token, branch, owner, repository)


def _read_labelling(
    environment: Mapping[str, str], edges: Edges, clients: Clients, request: BuildRequest, label: str
) -> Labelling:
    from kiro_worker.runner.github import labelling_of

    return labelling_of(edges.configuration, _github_token(environment, edges, clients), request, label)


def _github_token(environment: Mapping[str, str], edges: Edges, clients: Clients) -> str:
    token = load_github_token(clients("secretsmanager"), environment.get("GITHUB_TOKEN_SECRET_ARN", ""))
    edges.redaction.know(token)
    return token


def _stopped_from_outside(number: int, _frame: FrameType | None) -> None:
    # Once is enough: a second signal must not keep the report from being written.
    signal.signal(number, signal.SIG_IGN)
    raise BuildStopped(Outcome.WORKER_FAILED, f"the build was stopped ({signal.Signals(number).name})")
