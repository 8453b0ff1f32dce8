"""The program that :mod:`kiro_worker.runner.__main__` starts.

It wires the edges, and it is the one place where an error becomes an outcome and an exit code: 0 for Succeeded, 1 for
every other outcome, 2 for wrong usage.
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
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from kiro_worker.config.parameter import load_configuration
from kiro_worker.config.secrets import load_agent_key, load_git_credentials, load_github_token, load_test_secret
from kiro_worker.environment import RunnerEnvironment
from kiro_worker.errors import BuildStopped, KiroWorkerError, LockHeld, with_remedy
from kiro_worker.lock.owner import owner_is_running
from kiro_worker.lock.slots import release_slot_of_build
from kiro_worker.lock.table import LockTable
from kiro_worker.outcomes import Outcome
from kiro_worker.records.table import RecordsTable
from kiro_worker.runner.build_effects import BuildEffects
from kiro_worker.runner.clients import Clients
from kiro_worker.runner.edges import BuildEdges
from kiro_worker.runner.pipeline import Pipeline
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.runner.report.artifacts import ArtifactLocation
from kiro_worker.runner.report.log import Log, Redaction
from kiro_worker.runner.report.write import write_report
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.request import is_from_state_machine, request_from_environment
from kiro_worker.runner.stops import stop_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from kiro_worker.github.labels import Labeling
    from kiro_worker.runner.request import BuildRequest

_EXAMPLES: Final = """examples:
  python -m kiro_worker.runner --branch feature/x --dry-run --environment test
  GITHUB_TOKEN=$(gh auth token) python -m kiro_worker.runner --branch feature/x --dry-run --config project.json --json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the build that the environment describes, report it whatever happens, and return the exit code."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if chosen.dry_run:
        return _dry_run(parser, chosen)
    if any(value for name, value in vars(chosen).items() if name != "branch"):
        parser.error("these options need --dry-run")
    environment = dict(os.environ) | ({"BRANCH_NAME": chosen.branch} if chosen.branch else {})
    redaction = Redaction()
    log = Log(redaction)
    signal.signal(signal.SIGTERM, _stop_build)
    workspace = Path(tempfile.mkdtemp(prefix="kiro-worker-"))
    try:
        return _build_and_report(environment, workspace, log, redaction)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m kiro_worker.runner",
        description="Run the build that the environment describes, as CodeBuild does, or show what a build would do.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--branch", metavar="NAME", help="the branch to build; overrides BRANCH_NAME")
    dry = parser.add_argument_group(
        "dry run",
        "Acquires no lock, starts no agent, writes nothing. Exits with 0 (ready), 1 (would stop) or 2 (usage).",
    )
    dry.add_argument(
        "--dry-run", action="store_true", help="show what a build of --branch would do and what would stop it"
    )
    dry.add_argument("--environment", metavar="NAME", default="", help="test, staging …: read what is deployed on AWS")
    dry.add_argument("--config", metavar="FILE", type=Path, help="read the configuration from a JSON file, without AWS")
    dry.add_argument("--repository", metavar="OWNER/NAME", default="", help="default: the configuration's first")
    dry.add_argument(
        "--token-variable",
        metavar="VARIABLE",
        default="",
        help="environment variable that holds the GitHub token; default: the secret, or GITHUB_TOKEN with --config",
    )
    dry.add_argument(
        "--git-password-variable",
        metavar="VARIABLE",
        default="",
        help="environment variable that holds the git password; default: the secret, or the GitHub token with --config",
    )
    dry.add_argument("--json", action="store_true", help="print one JSON object, for use by programs")
    return parser


def _dry_run(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> int:
    # Imported here because it imports the GraphQL client, which most builds never use.
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
        variables = RunnerEnvironment.parse(environment)
        edges = _edges(variables, environment, clients, workspace, logs, log, redaction)
        request = _request(edges, variables, clients)
        # Only the report needs this client. Creating it now uses the time during which git waits for the server.
        Thread(target=clients, args=("s3",), daemon=True).start()
        _build(request, edges, progress)
    except LockHeld as error:
        # No slot is free. LockLost would leave the card as it is, and the card of a run must show that the run failed.
        has_no_card = request is None or request.started_by_hand
        outcome = Outcome.LOCK_LOST if has_no_card else Outcome.WORKER_FAILED
        progress.stopped(BuildStopped(outcome, error.reason, "redrive the execution once another build has ended"))
    except Exception as error:  # noqa: BLE001  # the one place where every error becomes an outcome
        if progress.outcome is Outcome.SUCCEEDED and progress.commit:
            log.say(f"the work is pushed, although this failed afterwards: {error}")
        else:
            progress.stopped(stop_for(error))
        if not isinstance(error, (BuildStopped, KiroWorkerError, GitFailed)):
            log.say(traceback.format_exc())
    progress.seconds = time.monotonic() - started
    location = ArtifactLocation.from_environment(environment, request)
    folder = Path(environment.get("CODEBUILD_SRC_DIR") or Path.cwd())
    problem = write_report(
        progress, request, location, folder=folder, logs=logs, redact=redaction, s3=lambda: clients("s3")
    )
    log.say(problem)
    log.say(f"── {progress.outcome}")
    log.say("\n".join(filter(None, (with_remedy(progress.reason, progress.remedy), progress.details))))
    return 0 if progress.outcome is Outcome.SUCCEEDED else 1


def _build(request: BuildRequest, edges: BuildEdges, progress: BuildProgress) -> None:
    edges.log.say(f"{request.repository} {request.branch} at {request.commit}")
    try:
        Pipeline(request, edges, BuildEffects(request, edges, progress), progress).run()
    finally:
        # The state machine releases the lock of its own builds only.
        if request.started_by_hand and progress.fence:
            try:
                release_slot_of_build(edges.locks, progress.slot, request.owner)
            finally:
                edges.locks.release(replace(request.lease, fence=progress.fence))


def _edges(
    variables: RunnerEnvironment,
    environment: Mapping[str, str],
    clients: Clients,
    workspace: Path,
    logs: Path,
    log: Log,
    redaction: Redaction,
) -> BuildEdges:
    edges = BuildEdges(
        configuration=load_configuration(clients("ssm"), variables.config_parameter_name),
        load_git_credentials=lambda: load_git_credentials(
            clients("secretsmanager"), variables.git_credentials_secret_name
        ),
        read_labeling=lambda request, label: _read_labeling(edges, variables, clients, request, label),
        s3=lambda: clients("s3"),
        environment=environment,
        workspace=workspace,
        redaction=redaction,
        locks=LockTable(
            clients("dynamodb"),
            variables.locks_table_name,
            variables.lock_lease_seconds,
            lambda owner: owner_is_running(clients("stepfunctions"), lambda: clients("codebuild"))(owner),
        ),
        records=RecordsTable(clients("dynamodb"), variables.records_table_name),
        load_agent_key=lambda: load_agent_key(clients("secretsmanager"), variables.kiro_api_key_secret_name),
        load_test_secret=lambda name: load_test_secret(clients("secretsmanager"), name),
        logs=logs,
        log=log,
    )
    return edges


def _request(edges: BuildEdges, variables: RunnerEnvironment, clients: Clients) -> BuildRequest:
    """Return the state machine's request or, if only BRANCH_NAME is set, the one that GitHub's answers describe."""
    environment = edges.environment
    if is_from_state_machine(environment):
        return request_from_environment(environment)
    from kiro_worker.runner.github import request_for_branch

    owner = environment.get("CODEBUILD_BUILD_ARN") or f"local-build-{uuid4()}"
    branch, repository = environment.get("BRANCH_NAME", ""), environment.get("REPOSITORY", "")
    token = _github_token(edges, variables, clients)
    return request_for_branch(edges.configuration, token, branch, owner, repository)


def _read_labeling(
    edges: BuildEdges, variables: RunnerEnvironment, clients: Clients, request: BuildRequest, label: str
) -> Labeling:
    from kiro_worker.runner.github import read_labeling_of

    return read_labeling_of(edges.configuration, _github_token(edges, variables, clients), request, label)


def _github_token(edges: BuildEdges, variables: RunnerEnvironment, clients: Clients) -> str:
    token = load_github_token(clients("secretsmanager"), variables.github_token_secret_name)
    edges.redaction.know(token)
    return token


def _stop_build(number: int, _frame: FrameType | None) -> None:
    # A second signal must not interrupt the report.
    signal.signal(number, signal.SIG_IGN)
    raise BuildStopped(
        Outcome.WORKER_FAILED,
        f"the build was stopped ({signal.Signals(number).name})",
        "redrive the execution, which continues with the open tasks",
    )
