"""Which errors of boto3 another attempt may fix. boto3 itself has already tried several times within a few seconds."""

from __future__ import annotations

from typing import Final

from botocore import exceptions

from kiro_worker.errors import AwsUnavailable

# As in botocore's standard retry mode. DynamoDB throttles with the status 400, so the status alone is not enough.
_TEMPORARY: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "Throttling",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_TOO_MANY_REQUESTS: Final = 429


def unavailable(error: exceptions.BotoCoreError | exceptions.ClientError) -> AwsUnavailable | None:
    """The error to raise instead of ``error`` if another attempt may succeed; ``None`` if it would fail again."""
    if isinstance(error, exceptions.ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        temporary = code in _TEMPORARY or status == _TOO_MANY_REQUESTS or status >= 500
    else:
        temporary = isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError)
    return AwsUnavailable(str(error), "wait, then redrive the execution") if temporary else None
