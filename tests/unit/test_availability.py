"""Which of boto3's errors another attempt may fix, and that every step raises them by one name."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from kiro_worker.availability import _TEMPORARY, unavailable


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
