"""Which errors of boto3 another attempt may fix, and which ones the operators of the installation have to fix.

boto3 itself has already tried several times within a few seconds.
"""

from __future__ import annotations

import re
from typing import Final

from botocore import exceptions

from kiro_worker.errors import AwsAccessDenied, AwsResourceMissing, AwsUnavailable
from kiro_worker.redaction import redact

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

# The names differ between services: a role without a permission, a KMS key that may not be used, or credentials of a
# role that was deleted and created again.
_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "DecryptionFailure",
        "InvalidClientTokenId",
        "InvalidKeyId",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
        "KmsAccessDeniedException",
        "KmsInvalidStateException",
        "NotAuthorized",
        "UnauthorizedOperation",
        "UnrecognizedClientException",
    }
)
_MISSING: Final = frozenset(
    {
        "NoSuchBucket",
        "NotFoundException",
        "ParameterNotFound",
        "ResourceNotFound",
        "ResourceNotFoundException",
        "StateMachineDoesNotExist",
        "TableNotFoundException",
    }
)
_RESOURCE: Final = re.compile(r"\b(?:on resource|Table): ?(?P<named>[^\s,]+)|(?P<arn>\barn:aws[a-z-]*:[^\s,\"']+)")
_LONGEST_MESSAGE: Final = 500
"""EC2 and others append an encoded message of several thousand characters."""


def unavailable(error: exceptions.BotoCoreError | exceptions.ClientError) -> AwsUnavailable | None:
    """The error to raise instead of ``error`` if another attempt may succeed; ``None`` if it would fail again."""
    if isinstance(error, exceptions.ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        temporary = code in _TEMPORARY or status == _TOO_MANY_REQUESTS or status >= 500
    else:
        temporary = isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError)
    return AwsUnavailable(str(error), "wait, then redrive the execution") if temporary else None


def refusal(error: exceptions.BotoCoreError | exceptions.ClientError) -> AwsAccessDenied | AwsResourceMissing | None:
    """The error to raise instead of ``error`` if only the operators can fix it; ``None`` for every other error."""
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return AwsAccessDenied(f"AWS cannot be used: {error}", "give the role or the shell AWS credentials")
    if not isinstance(error, exceptions.ClientError):
        return None
    answer = error.response.get("Error", {})
    code, message = answer.get("Code", ""), redact(answer.get("Message", "")).strip()[:_LONGEST_MESSAGE]
    found = _RESOURCE.search(message.partition("is not authorized to perform")[2] or message)
    resource = f" on {(found['named'] or found['arn']).rstrip('.')}" if found else ""
    if code in _DENIED:
        return AwsAccessDenied(
            f"AWS denies {error.operation_name}{resource} ({code}): {message}",
            "make deploy, which sets the permissions of every role; if a policy or a KMS key that is not part of the"
            " deployment denies the request, allow it there; then redrive the execution",
        )
    if code in _MISSING:
        return AwsResourceMissing(
            f"AWS does not find what {error.operation_name} needs{resource} ({code}): {message}",
            "make deploy, which creates every resource of the installation; then redrive the execution",
        )
    return None
