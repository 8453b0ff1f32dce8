"""Names of executions: finds the execution that a person names, and names new ones."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import boto3

from kiro_worker.errors import KiroWorkerError
from kiro_worker.github.pr_comment import execution_url
from kiro_worker.names import ENVIRONMENTS, Names
from kiro_worker.outcomes import FaultOwner

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_ARN: Final = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):states:(?P<region>[a-z0-9-]+):(?P<account>\d{12})"
    r":execution:(?P<machine>[A-Za-z0-9_-]{1,80}):(?P<name>[A-Za-z0-9_-]{1,80})"
)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_LONGEST_NAME: Final = 80


class ExecutionNameInvalid(KiroWorkerError):
    """The text is neither an execution's ARN nor its name, or the environment does not exist."""


class ExecutionNotFound(KiroWorkerError):
    """The execution does not exist. AWS deletes an execution 90 days after it ends."""

    owner = FaultOwner.CARD


@dataclass(frozen=True)
class NamedExecution:
    """An execution's ARN, and a client for its region."""

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
        """Whether the execution is on AWS. The embedded AWS has no console and no request quota."""
        return ".amazonaws." in (urlsplit(self.client.meta.endpoint_url).hostname or "")

    @property
    def poll_seconds(self) -> float:
        return 2.0 if self.on_aws else 0.1

    def console_url(self, arn: str) -> str:
        """The URL of an execution's page in the console; empty for the embedded AWS."""
        return execution_url(arn) if self.on_aws else ""

    def describe(self) -> dict[str, Any]:
        """The response of DescribeExecution. Raises :class:`ExecutionNotFound`."""
        try:
            return dict(self.client.describe_execution(executionArn=self.arn))
        except (self.client.exceptions.ExecutionDoesNotExist, self.client.exceptions.InvalidArn):
            raise ExecutionNotFound(
                f"the execution {self.arn} does not exist; AWS deletes an execution 90 days after it ends",
                f"aws stepfunctions list-executions --state-machine-arn {self.state_machine_arn}",
            ) from None


def find_execution(text: str, environment: str, endpoint_url: str | None) -> NamedExecution:
    """The execution that ``text`` names: an ARN, or a name in ``environment`` and the configured account and region.

    Without ``endpoint_url``, boto3 reads AWS_ENDPOINT_URL. Raises :class:`ExecutionNameInvalid` and botocore's errors.
    """
    if found := _ARN.fullmatch(text):
        return NamedExecution(
            boto3.client("stepfunctions", region_name=found["region"], endpoint_url=endpoint_url), text
        )
    if not _NAME.fullmatch(text):
        raise ExecutionNameInvalid(f"{text[:100]!r} is neither an execution's ARN nor its name")
    if environment not in ENVIRONMENTS:
        raise ExecutionNameInvalid(f"{environment[:100]!r} is not an environment: use {', '.join(ENVIRONMENTS)}")
    client = boto3.client("stepfunctions", endpoint_url=endpoint_url)
    identity = boto3.client("sts", endpoint_url=endpoint_url).get_caller_identity()
    partition = identity["Arn"].split(":")[1]
    machine = Names(environment).state_machine
    return NamedExecution(
        client,
        f"arn:{partition}:states:{client.meta.region_name}:{identity['Account']}:execution:{machine}:{text}",
    )


def replay_name(name: str) -> str:
    """A new name for a replay of the execution ``name``.

    It contains the name of the original, even if ``name`` is itself a replay. It is unique, because AWS does not allow
    a name to be reused within 90 days.
    """
    original = name.removeprefix("replay-").rpartition("--")[0] if name.startswith("replay-") else ""
    suffix = f"--{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    return f"replay-{original or name}"[: _LONGEST_NAME - len(suffix)] + suffix
