"""Whether the owner of a lock may still act, according to Step Functions (executions) and CodeBuild (builds)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from kiro_worker.execution_status import ENDED_STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_stepfunctions import SFNClient

# A build's ARN, or its ID: the project's name and an identifier that CodeBuild generates.
_BUILD: Final = re.compile(r"(?:arn:[\w-]+:codebuild:[\w-]+:\d+:build/)?[\w-]+:[\w-]+")
_NOT_FOUND: Final = frozenset({"ExecutionDoesNotExist", "InvalidArn"})
_BUILD_IS_OVER: Final = frozenset({"ResourceNotFoundException", "InvalidInputException"})
# The owner belongs to another state machine or project, which our role may not read, or its format is not valid.
_UNREADABLE: Final = frozenset({"AccessDeniedException", "ValidationException", "InvalidInputException"})


def owner_is_running(sfn: SFNClient, codebuild: Callable[[], CodeBuildClient]) -> Callable[[str], bool | None]:
    """A function that returns whether an owner (execution ARN, build ARN or build ID) may still act.

    That function returns ``None`` if it cannot find out, and ``False`` for an owner that no longer exists.
    ``codebuild`` is called only for a build.
    """
    execution = execution_is_running(sfn)

    def is_running(owner: str) -> bool | None:
        return _build_is_running(codebuild(), owner) if _BUILD.fullmatch(owner) else execution(owner)

    return is_running


def execution_is_running(sfn: SFNClient) -> Callable[[str], bool | None]:
    """A function like the one that :func:`owner_is_running` returns, for executions only."""

    def is_running(owner: str) -> bool | None:
        if ":execution:" not in owner:
            return None
        try:
            return sfn.describe_execution(executionArn=owner)["status"] not in ENDED_STATUSES
        except ClientError as error:
            return _running_according_to(error)

    return is_running


def build_stopper(codebuild: Callable[[], CodeBuildClient]) -> Callable[[str], None]:
    """A function that stops a build; it does nothing for a build that has ended or no longer exists."""

    def stop(build: str) -> None:
        try:
            codebuild().stop_build(id=build)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _BUILD_IS_OVER:
                raise

    return stop


def ending_of(sfn: SFNClient, execution: str) -> tuple[str, str]:
    """How an execution ended: its error, or else its status, and its cause.

    Both are empty if ``execution`` is not an execution, no longer exists, or may not be read by our role.
    """
    if ":execution:" not in execution:
        return "", ""
    try:
        described = sfn.describe_execution(executionArn=execution)
    except ClientError as error:
        if error.response["Error"]["Code"] in _NOT_FOUND | _UNREADABLE:
            return "", ""
        raise
    return described.get("error") or described["status"], described.get("cause", "")


def _build_is_running(codebuild: CodeBuildClient, build: str) -> bool | None:
    try:
        builds = codebuild.batch_get_builds(ids=[build])["builds"]
    except ClientError as error:
        return _running_according_to(error)
    return any(found["buildStatus"] == "IN_PROGRESS" for found in builds)


def _running_according_to(error: ClientError) -> bool | None:
    """Whether the owner may still act, as far as the service's error shows. Raises ``error`` if it shows nothing."""
    code = error.response["Error"]["Code"]
    if code in _NOT_FOUND:
        return False
    if code in _UNREADABLE:
        return None
    raise error
