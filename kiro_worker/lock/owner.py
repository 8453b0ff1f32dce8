"""Whether the owner of a lock may still act: Step Functions knows it of an execution, CodeBuild of a build that was
started by hand, and of anything else nobody does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_stepfunctions import SFNClient

# Its ARN, or its ID: the project's name and one of CodeBuild's making.
_BUILD: Final = re.compile(r"(?:arn:[\w-]+:codebuild:[\w-]+:\d+:build/)?[\w-]+:[\w-]+")
_ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})
_UNKNOWN: Final = frozenset({"ExecutionDoesNotExist", "InvalidArn"})
_OVER: Final = frozenset({"ResourceNotFoundException", "InvalidInputException"})
# Of another state machine or project than ours, as our role sees it, or of a form that the service does not know.
_NOT_FOR_US: Final = frozenset({"AccessDeniedException", "ValidationException", "InvalidInputException"})


def owner_is_running(sfn: SFNClient, codebuild: Callable[[], CodeBuildClient]) -> Callable[[str], bool | None]:
    """Answers for the ARN of an execution, and the ARN or ID of a build, whether it may still act; ``None`` when that
    cannot be known. One that is not known any more may not. ``codebuild`` is called only for a build.
    """
    execution = execution_is_running(sfn)

    def is_running(owner: str) -> bool | None:
        return _build_is_running(codebuild(), owner) if _BUILD.fullmatch(owner) else execution(owner)

    return is_running


def execution_is_running(sfn: SFNClient) -> Callable[[str], bool | None]:
    """The same for executions alone."""

    def is_running(owner: str) -> bool | None:
        if ":execution:" not in owner:
            return None
        try:
            return sfn.describe_execution(executionArn=owner)["status"] not in _ENDED
        except ClientError as error:
            return _answer(error)

    return is_running


def build_stopper(codebuild: Callable[[], CodeBuildClient]) -> Callable[[str], None]:
    """Stops a build; one that is over or gone already is no error."""

    def stop(build: str) -> None:
        try:
            codebuild().stop_build(id=build)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _OVER:
                raise

    return stop


def ending_of(sfn: SFNClient, execution: str) -> tuple[str, str]:
    """How an execution ended: its error, else its status, and the cause; empty when it is none, is not known any more,
    or is not ours to ask about.
    """
    if ":execution:" not in execution:
        return "", ""
    try:
        described = sfn.describe_execution(executionArn=execution)
    except ClientError as error:
        if error.response["Error"]["Code"] in _UNKNOWN | _NOT_FOR_US:
            return "", ""
        raise
    return described.get("error") or described["status"], described.get("cause", "")


def _build_is_running(codebuild: CodeBuildClient, build: str) -> bool | None:
    try:
        builds = codebuild.batch_get_builds(ids=[build])["builds"]
    except ClientError as error:
        return _answer(error)
    return any(found["buildStatus"] == "IN_PROGRESS" for found in builds)


def _answer(error: ClientError) -> bool | None:
    code = error.response["Error"]["Code"]
    if code in _UNKNOWN:
        return False
    if code in _NOT_FOR_US:
        return None
    raise error
