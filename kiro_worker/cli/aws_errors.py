"""How to fix the AWS errors that the command line meets."""

from __future__ import annotations

from typing import Final

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError

from kiro_worker.errors import with_remedy

_LOGIN: Final = (
    "aws configure (or aws sso login), and export AWS_PROFILE=…; `kiro-worker local up` accepts any credentials"
)
_REMEDIES: Final[tuple[tuple[type[BotoCoreError], str], ...]] = (
    (exceptions.NoCredentialsError, _LOGIN),
    (exceptions.PartialCredentialsError, _LOGIN),
    (exceptions.CredentialRetrievalError, _LOGIN),
    (exceptions.SSOError, "aws sso login"),
    (exceptions.NoRegionError, "export AWS_DEFAULT_REGION=…, or pass the execution's ARN, which contains its region"),
    (exceptions.ProfileNotFound, "aws configure list-profiles, and export AWS_PROFILE=…"),
    (exceptions.HTTPClientError, "check --endpoint-url, AWS_ENDPOINT_URL and the network"),
)
_REMEDIES_BY_CODE: Final = {
    "AccessDeniedException": "use a role that allows states:DescribeExecution, GetExecutionHistory, StartExecution and"
    " RedriveExecution on the state machine and its executions, and dynamodb:GetItem and UpdateItem on the records"
    " table",
    "ResourceNotFoundException": "check --environment, the region and the account: the stacks must be deployed there",
    "ExpiredToken": _LOGIN,
    "ExpiredTokenException": _LOGIN,
    "InvalidClientTokenId": _LOGIN,
    "UnrecognizedClientException": _LOGIN,
}


def explain(error: BotoCoreError | ClientError) -> tuple[str, str]:
    """The error's name, and its message with how to fix it if a remedy is known."""
    if isinstance(error, ClientError):
        name = error.response.get("Error", {}).get("Code", type(error).__name__)
        remedy = _REMEDIES_BY_CODE.get(name, "")
    else:
        name = type(error).__name__
        remedy = next((remedy for kind, remedy in _REMEDIES if isinstance(error, kind)), "")
    return name, with_remedy(str(error), remedy)
