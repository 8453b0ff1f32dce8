"""AWS from the command line: the execution that a person names, and what mends it when AWS cannot be asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import boto3
import typer
from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.errors import with_remedy
from kiro_worker.github.pr_comment import execution_url

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_ARN: Final = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):states:(?P<region>[a-z0-9-]+):(?P<account>\d{12})"
    r":execution:(?P<machine>[A-Za-z0-9_-]{1,80}):(?P<name>[A-Za-z0-9_-]{1,80})"
)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ENVIRONMENT: Final = re.compile(r"[a-z]{1,20}")

_LOGIN: Final = (
    "aws configure (or aws sso login), and export AWS_PROFILE=…; `kiro-worker local up` takes any credentials"
)
_MENDED: Final[tuple[tuple[type[BotoCoreError], str], ...]] = (
    (exceptions.NoCredentialsError, _LOGIN),
    (exceptions.PartialCredentialsError, _LOGIN),
    (exceptions.CredentialRetrievalError, _LOGIN),
    (exceptions.SSOError, "aws sso login"),
    (exceptions.NoRegionError, "export AWS_DEFAULT_REGION=…, or give the execution's ARN, which names its region"),
    (exceptions.ProfileNotFound, "aws configure list-profiles, and export AWS_PROFILE=…"),
    (exceptions.HTTPClientError, "check --endpoint-url, AWS_ENDPOINT_URL and the network"),
)
_MENDED_CODES: Final = {
    "AccessDeniedException": "a role that may do states:DescribeExecution, GetExecutionHistory, StartExecution and"
    " RedriveExecution on the state machine and its executions",
    "ExpiredToken": _LOGIN,
    "ExpiredTokenException": _LOGIN,
    "InvalidClientTokenId": _LOGIN,
    "UnrecognizedClientException": _LOGIN,
}


@dataclass(frozen=True)
class NamedExecution:
    """An execution by its ARN, and the client of the region it is in."""

    client: SFNClient
    arn: str

    @property
    def name(self) -> str:
        return self.arn.rpartition(":")[2]

    @property
    def state_machine_arn(self) -> str:
        return self.arn.rpartition(":")[0].replace(":execution:", ":stateMachine:")

    @property
    def on_aws(self) -> bool:
        """False for the embedded AWS, which has no console and no quota of requests."""
        return ".amazonaws." in (urlsplit(self.client.meta.endpoint_url).hostname or "")

    @property
    def poll_seconds(self) -> float:
        return 2.0 if self.on_aws else 0.1

    def console(self, arn: str) -> str:
        """The address of an execution's page; empty where there is none."""
        return execution_url(arn) if self.on_aws else ""


def named_execution(text: str, environment: str, endpoint_url: str | None) -> NamedExecution:
    """Of an ARN; or of a name, in ``environment`` and the account and region of the usual configuration. boto3 itself
    reads AWS_ENDPOINT_URL. Raises :class:`typer.BadParameter`, and botocore's errors.
    """
    if found := _ARN.fullmatch(text):
        return NamedExecution(
            boto3.client("stepfunctions", region_name=found["region"], endpoint_url=endpoint_url), text
        )
    if not _NAME.fullmatch(text):
        raise typer.BadParameter(f"{text[:100]!r} is neither an execution's ARN nor its name")
    if not _ENVIRONMENT.fullmatch(environment):
        raise typer.BadParameter(f"{environment[:100]!r} is no environment: test, staging or production")
    client = boto3.client("stepfunctions", endpoint_url=endpoint_url)
    identity = boto3.client("sts", endpoint_url=endpoint_url).get_caller_identity()
    partition = identity["Arn"].split(":")[1]
    place = f"arn:{partition}:states:{client.meta.region_name}:{identity['Account']}"
    return NamedExecution(client, f"{place}:execution:kiro-worker-{environment}:{text}")


def explained(error: BotoCoreError | ClientError) -> tuple[str, str]:
    """The error's name, and what it says with what mends it."""
    if isinstance(error, ClientError):
        name = error.response.get("Error", {}).get("Code", type(error).__name__)
        remedy = _MENDED_CODES.get(name, "")
    else:
        name = type(error).__name__
        remedy = next((remedy for kind, remedy in _MENDED if isinstance(error, kind)), "")
    return name, with_remedy(str(error), remedy)
