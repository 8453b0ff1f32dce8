"""The three secrets, read from Secrets Manager and checked for their required form.

No error message contains a secret's value.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from kiro_worker.errors import SecretEmpty, SecretMalformed, SecretMissing, SecretPlaceholder
from kiro_worker.models import GitCredentials

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_PLACEHOLDER_PREFIXES: Final = (
    "placeholder",
    "changeme",
    "change-me",
    "todo",
    "replace-me",
    "your_token",
    "your-token",
    "ghp_your",
    "xxx",
    "<",
)


def load_github_token(secrets: SecretsManagerClient, arn: str) -> str:
    """The GitHub token: the whole secret, or its ``token`` when the secret is JSON."""
    text = _read_secret(secrets, arn, "ghp_…")
    if not text.startswith("{"):
        return _require_printable(text, arn, "ghp_…")
    return _require_printable(_read_field(text, arn, "token", '{"token":"ghp_…"}'), arn, "ghp_…")


def load_git_credentials(secrets: SecretsManagerClient, arn: str) -> GitCredentials:
    """The user name and password for git, from the JSON secret ``{"username", "password"}``."""
    form = '{"username":"git","password":"your_token"}'
    text = _read_secret(secrets, arn, form)
    username, password = (_read_field(text, arn, key, form) for key in ("username", "password"))
    username, password = (_require_printable(value, arn, form) for value in (username, password))
    return GitCredentials(username, password, _secret_name(arn))


def load_agent_key(secrets: SecretsManagerClient, arn: str) -> str:
    """The agent's API key, which is the whole secret."""
    return _require_printable(_read_secret(secrets, arn, "ksk_…"), arn, "ksk_…")


def _read_secret(secrets: SecretsManagerClient, arn: str, form: str) -> str:
    name, remedy = _secret_name(arn), _put_secret(arn, form)
    try:
        answer = secrets.get_secret_value(SecretId=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        raise SecretMissing(f"the secret {name} does not exist or has no value", remedy) from None
    text = answer.get("SecretString", "").strip()
    if not text:
        raise SecretEmpty(f"the secret {name} is empty", remedy)
    if _is_placeholder(text):
        raise SecretPlaceholder(f"the secret {name} still holds a placeholder", remedy)
    return text


def _read_field(text: str, arn: str, key: str, form: str) -> str:
    name, remedy = _secret_name(arn), _put_secret(arn, form)
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        # The decoder's own message is left out, because it can quote the value.
        raise SecretMalformed(f"the secret {name} is not JSON of the form {form}", remedy) from None
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, str):
        raise SecretMalformed(f'the secret {name} has no string "{key}"; its form is {form}', remedy)
    if not value.strip():
        raise SecretEmpty(f'"{key}" in the secret {name} is empty', remedy)
    if _is_placeholder(value):
        raise SecretPlaceholder(f'"{key}" in the secret {name} still holds a placeholder', remedy)
    return value.strip()


def _is_placeholder(value: str) -> bool:
    """Whether ``value`` is a placeholder from an example or the deployment, such as ``ghp_your_actual_token``."""
    return value.strip().lower().startswith(_PLACEHOLDER_PREFIXES)


def _require_printable(value: str, arn: str, form: str) -> str:
    # A line break in a token would end an HTTP header or a git credential and start another.
    if not all("!" <= character <= "~" for character in value):
        raise SecretMalformed(
            f"the secret {_secret_name(arn)} contains white space or control characters",
            _put_secret(arn, form),
        )
    return value


def _secret_name(arn: str) -> str:
    """The secret's name in its ARN, without the six random characters that Secrets Manager appends."""
    return re.sub(r"-[A-Za-z0-9]{6}$", "", arn.rsplit(":", 1)[-1]) if arn.startswith("arn:") else arn


def _put_secret(arn: str, form: str) -> str:
    return f"aws secretsmanager put-secret-value --secret-id {_secret_name(arn)} --secret-string '{form}'"
