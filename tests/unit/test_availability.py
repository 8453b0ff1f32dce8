"""Which of boto3's errors another attempt may fix, and which ones the operators have to fix."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from kiro_worker.availability import _TEMPORARY, refusal, unavailable
from kiro_worker.errors import AwsAccessDenied, AwsResourceMissing
from kiro_worker.outcomes import FaultOwner


def client_error(code: str, status: int = 400) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "BatchGetBuilds")


def test_codes_are_botocores() -> None:
    """A new version of botocore may know more."""
    throttled = ThrottledRetryableChecker._THROTTLED_ERROR_CODES  # type: ignore[attr-defined]  # not in the stubs
    transient = TransientRetryableChecker._TRANSIENT_ERROR_CODES  # type: ignore[attr-defined]  # not in the stubs
    known = {*throttled, *transient}
    assert known == _TEMPORARY


@pytest.mark.parametrize(
    "error",
    [
        client_error("ThrottlingException"),
        client_error("ProvisionedThroughputExceededException"),
        client_error("InternalServerError", 500),
        client_error("", 503),
        client_error("Slow", 429),
        exceptions.EndpointConnectionError(endpoint_url="https://codebuild.example"),
        exceptions.ReadTimeoutError(endpoint_url="https://codebuild.example"),
        exceptions.ConnectionClosedError(endpoint_url="https://codebuild.example"),
    ],
    ids=str,
)
def test_temporary_error_becomes_unavailable(error: BotoCoreError | ClientError) -> None:
    found = unavailable(error)
    assert found is not None
    assert found.reason == str(error)
    assert "redrive" in found.remedy


@pytest.mark.parametrize(
    "error",
    [
        client_error("AccessDeniedException"),
        client_error("ConditionalCheckFailedException"),
        client_error("ResourceNotFoundException", 404),
        ClientError({}, "BatchGetBuilds"),
        exceptions.NoCredentialsError(),
        exceptions.ParamValidationError(report="id"),
    ],
    ids=str,
)
def test_lasting_error_stays(error: BotoCoreError | ClientError) -> None:
    assert unavailable(error) is None


def refused_with(operation: str, code: str, message: str = "") -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response, operation)


USER = "User: arn:aws:sts::123456789012:assumed-role/KiroWorkerWorkflow-test-Role/kiro-worker-test-acquire-lock"
LOCKS = "arn:aws:dynamodb:us-east-1:123456789012:table/kiro-worker-test-locks"


@pytest.mark.parametrize(
    ("error", "kind", "expected"),
    [
        (
            refused_with(
                "UpdateItem",
                "AccessDeniedException",
                f"{USER} is not authorized to perform: dynamodb:UpdateItem on resource: {LOCKS} because no"
                " identity-based policy allows the dynamodb:UpdateItem action",
            ),
            AwsAccessDenied,
            f"AWS denies UpdateItem on {LOCKS} (AccessDeniedException): {USER}",
        ),
        (
            refused_with(
                "BatchGetProjects",
                "AccessDeniedException",
                f"{USER} is not authorized to perform: codebuild:BatchGetProjects",
            ),
            AwsAccessDenied,
            "AWS denies BatchGetProjects (AccessDeniedException): ",
        ),
        (refused_with("GetObject", "AccessDenied", "Access Denied"), AwsAccessDenied, "AWS denies GetObject ("),
        (
            refused_with("GetSecretValue", "AccessDeniedException", "Access to KMS is not allowed"),
            AwsAccessDenied,
            "Access to KMS is not allowed",
        ),
        (refused_with("GetSecretValue", "DecryptionFailure", "why"), AwsAccessDenied, "(DecryptionFailure): why"),
        (refused_with("GetItem", "KMSAccessDeniedException"), AwsAccessDenied, "AWS denies GetItem ("),
        (refused_with("GetParameter", "InvalidKeyId", "why"), AwsAccessDenied, "AWS denies GetParameter (InvalidKeyId"),
        (
            refused_with("GetItem", "UnrecognizedClientException", "The security token is invalid."),
            AwsAccessDenied,
            "The security token",
        ),
        (exceptions.NoCredentialsError(), AwsAccessDenied, "AWS cannot be used: Unable to locate credentials"),
        (
            refused_with(
                "Scan",
                "ResourceNotFoundException",
                "Requested resource not found: Table: kiro-worker-test-locks not found",
            ),
            AwsResourceMissing,
            "AWS does not find what Scan needs on kiro-worker-test-locks (ResourceNotFoundException)",
        ),
        (refused_with("GetParameter", "ParameterNotFound"), AwsResourceMissing, "what GetParameter needs ("),
        (
            refused_with("PutObject", "NoSuchBucket", "The specified bucket does not exist"),
            AwsResourceMissing,
            "The specified bucket does not exist",
        ),
    ],
    ids=lambda value: value.response["Error"]["Code"] if isinstance(value, ClientError) else "",
)
def test_refusal_names_operation_and_resource(
    error: BotoCoreError | ClientError, kind: type[AwsAccessDenied | AwsResourceMissing], expected: str
) -> None:
    found = refusal(error)
    assert type(found) is kind
    assert expected in found.reason
    assert found.owner is FaultOwner.INSTALLATION
    assert "make deploy" in found.remedy or "credentials" in found.remedy
    assert unavailable(error) is None


def test_refusal_shows_no_credential() -> None:
    found = refusal(refused_with("GetSecretValue", "AccessDeniedException", f"ghp_{'0a1b' * 9} {'x' * 9000}"))
    assert found is not None
    assert "ghp_" not in found.reason
    assert len(found.reason) < 1000


@pytest.mark.parametrize(
    "error",
    [
        client_error("ThrottlingException"),
        client_error("ConditionalCheckFailedException"),
        client_error("InvalidRequestException"),
        client_error("", 503),
        ClientError({}, "BatchGetBuilds"),
        exceptions.ReadTimeoutError(endpoint_url="https://codebuild.example"),
        exceptions.ParamValidationError(report="id"),
    ],
    ids=str,
)
def test_other_error_is_no_refusal(error: BotoCoreError | ClientError) -> None:
    assert refusal(error) is None
