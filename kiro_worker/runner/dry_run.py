"""``--dry-run``: print what a build of a branch would do and what would stop it, without doing any of it.

It runs the build's own pipeline with :class:`~kiro_worker.runner.dry_run_effects.DryRunEffects`. It acquires no
lock, starts neither agent nor tests, and writes nothing outside a temporary folder.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.config.parameter import load_configuration, parse_configuration_file
from kiro_worker.config.secrets import load_git_credentials, load_github_token
from kiro_worker.errors import BuildStopped, GitHubTokenInvalid, KiroWorkerError
from kiro_worker.lock.owner import owner_is_running
from kiro_worker.lock.table import LockTable
from kiro_worker.models import GitCredentials
from kiro_worker.names import Names
from kiro_worker.outcomes import Outcome
from kiro_worker.records.table import RecordsTable
from kiro_worker.runner.clients import Clients
from kiro_worker.runner.dry_run_effects import AwsNotAvailable, DryRunEffects
from kiro_worker.runner.edges import Edges
from kiro_worker.runner.github import read_labeling_of, request_for_branch
from kiro_worker.runner.pipeline import Pipeline
from kiro_worker.runner.plan import Plan
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.runner.report.log import Redaction
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.sandbox.output import plain
from kiro_worker.runner.sandbox.printable import printable, printable_document
from kiro_worker.runner.stops import stop_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_s3 import S3Client

    from kiro_worker.config.model import Configuration
    from kiro_worker.runner.request import BuildRequest

DEFAULT_VARIABLE: Final = "GITHUB_TOKEN"
_OWNER: Final = "build:dry-run"


class WrongUsage(Exception):
    """The command line's options do not work together or name something that does not exist."""


@dataclass(frozen=True)
class Options:
    """The command line of a dry run.

    The configuration comes from the deployed ``environment`` or from the file ``config``. ``token_variable`` and
    ``password_variable`` name environment variables that replace the secrets.
    """

    branch: str
    environment: str = ""
    config: Path | None = None
    repository: str = ""
    token_variable: str = ""
    password_variable: str = ""
    as_json: bool = False


def dry_run(options: Options, parent: Mapping[str, str]) -> int:
    """Print the plan, and return 0 if nothing would stop the build, 1 if something would, 2 for wrong options."""
    plan, redaction = Plan(), Redaction()
    with tempfile.TemporaryDirectory(prefix="kiro-worker-dry-run-") as folder:
        try:
            _run_pipeline(options, parent, Path(folder), redaction, plan)
        except WrongUsage as error:
            print(printable(str(error)), file=sys.stderr)
            return 2
        except (BuildStopped, KiroWorkerError, GitFailed) as error:
            plan.block(stop_for(error))
        except (BotoCoreError, ClientError) as error:
            remedy = "check the AWS credentials and the region of this shell, or run without AWS: --config FILE"
            plan.block(BuildStopped(Outcome.WORKER_FAILED, f"AWS cannot be used: {error}", remedy))
    # Task titles and file names come from the repository, so their terminal control characters are removed.
    as_json, text = printable_document(plan.document()), printable(plain(plan.text()))
    print(redaction(json.dumps(as_json, indent=2) if options.as_json else text))
    return 1 if plan.blockers else 0


def _run_pipeline(
    options: Options, parent: Mapping[str, str], workspace: Path, redaction: Redaction, plan: Plan
) -> None:
    source = _Source.from_options(options, parent)
    configuration, token = source.configuration, source.load_token()
    redaction.know(token)
    try:
        request = request_for_branch(configuration, token, options.branch, _OWNER, options.repository)
    except GitHubTokenInvalid as error:
        if not source.token_variable:
            raise
        # The usual remedy stores the token in the secret, which this dry run does not read.
        remedy = f"create a token with the scopes repo and project, then export {source.token_variable}=…"
        raise GitHubTokenInvalid(error.reason, remedy) from None
    _note_request(request, plan)
    edges = Edges(
        configuration=configuration,
        load_git_credentials=source.load_git_credentials,
        read_labeling=lambda request, label: read_labeling_of(configuration, token, request, label),
        s3=source.s3,
        environment=parent,
        workspace=workspace,
        redaction=redaction,
        records=source.records,
    )
    effects = DryRunEffects(request, edges, plan, source.locks, source.bucket)
    Pipeline(request, edges, effects, BuildProgress()).run()


def _note_request(request: BuildRequest, plan: Plan) -> None:
    plan.note(
        "job",
        f"{request.repository} {request.branch} at {request.commit[:12]}, pull request #{request.pull_request},"
        f" spec in {request.spec_path}",
        {
            "repository": request.repository,
            "branch": request.branch,
            "commit": request.commit,
            "pullRequest": request.pull_request,
            "specPath": request.spec_path,
        },
    )


@dataclass(frozen=True)
class _Source:
    """Where a dry run reads from.

    Without AWS, ``locks`` and ``records`` are ``None``, ``bucket`` is empty and ``s3`` raises. ``token_variable`` is
    the environment variable that the token comes from; empty if it comes from the secret.
    """

    configuration: Configuration
    load_token: Callable[[], str]
    load_git_credentials: Callable[[], GitCredentials]
    locks: LockTable | None
    records: RecordsTable | None
    bucket: str
    s3: Callable[[], S3Client]
    token_variable: str

    @classmethod
    def from_options(cls, options: Options, parent: Mapping[str, str]) -> _Source:
        """Return the source that ``--config`` or ``--environment`` names."""
        if options.config:
            return cls.without_aws(options, options.config, parent)
        return cls.on_aws(options, parent)

    @classmethod
    def without_aws(cls, options: Options, file: Path, parent: Mapping[str, str]) -> _Source:
        """Read the configuration from ``file`` and the secrets from environment variables."""
        variable = options.token_variable or DEFAULT_VARIABLE
        token = _variable(parent, variable)
        password = _variable(parent, options.password_variable) if options.password_variable else token
        return cls(
            configuration=_read_configuration(file),
            load_token=lambda: token,
            load_git_credentials=lambda: GitCredentials("git", password),
            locks=None,
            records=None,
            bucket="",
            s3=_no_s3,
            token_variable=variable,
        )

    @classmethod
    def on_aws(cls, options: Options, parent: Mapping[str, str]) -> _Source:
        """Read what is deployed, by the names that every deployment uses."""
        clients, names = Clients(), Names(options.environment)
        is_running = owner_is_running(clients("stepfunctions"), lambda: clients("codebuild"))
        secrets = clients("secretsmanager")
        token, password = (
            _variable(parent, name) if name else "" for name in (options.token_variable, options.password_variable)
        )
        return cls(
            load_configuration(clients("ssm"), names.configuration_parameter),
            lambda: token or load_github_token(secrets, names.github_token_secret),
            lambda: (
                GitCredentials("git", password)
                if password
                else load_git_credentials(secrets, names.git_credentials_secret)
            ),
            LockTable(clients("dynamodb"), names.locks_table, 0, is_running),
            RecordsTable(clients("dynamodb"), names.records_table),
            names.artifacts_bucket(clients("sts").get_caller_identity()["Account"], clients("ssm").meta.region_name),
            lambda: clients("s3"),
            options.token_variable,
        )


def _no_s3() -> S3Client:
    raise AwsNotAvailable


def _read_configuration(file: Path) -> Configuration:
    try:
        return parse_configuration_file(file.read_text(encoding="utf-8"), file)
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"--config: {file} cannot be read: {error}") from None


def _variable(parent: Mapping[str, str], name: str) -> str:
    value = parent.get(name, "").strip()
    if not value:
        raise WrongUsage(f"the environment variable {name} is not set: export {name}=…")
    return value
