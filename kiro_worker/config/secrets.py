"""The secrets, read from Secrets Manager by name and checked for their required form.

A name, unlike an ARN, still leads to a secret that was deleted and created again.
No error message contains a secret's value.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from kiro_worker.availability import refusal
from kiro_worker.errors import SecretEmpty, SecretMalformed, SecretMissing, SecretPendingDeletion, SecretPlaceholder
from kiro_worker.models import GitCredentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_secretsmanager import SecretsManagerClient

    from kiro_worker.errors import KiroWorkerError

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
_TOKEN_FORM: Final = "ghp_…"  # noqa: S105  # what a token looks like
_CREDENTIALS_FORM: Final = '{"username":"git","password":"your_token"}'
_TEST_FORM: Final = "…"
_KEY_FORM: Final = "ksk_…"
# "… because it was marked for deletion", "… a secret that's currently marked deleted": AWS uses both.
_PENDING_DELETION: Final = re.compile(r"marked (?:for deletion|deleted)|scheduled for deletion")


def load_github_token(secrets: SecretsManagerClient, name: str) -> str:
    """The GitHub token: the whole secret, or its ``token`` when the secret is JSON."""
    text = _read_secret(secrets, name, _TOKEN_FORM)
    if text.startswith("{"):
        text = _read_field(text, name, "token", '{"token":"ghp_…"}')
    return _require_printable(text, name, _TOKEN_FORM)


def load_git_credentials(secrets: SecretsManagerClient, name: str) -> GitCredentials:
    """The user name and password for git, from the JSON secret ``{"username", "password"}``."""
    form = _CREDENTIALS_FORM
    text = _read_secret(secrets, name, form)
    username, password = (_read_field(text, name, key, form) for key in ("username", "password"))
    username, password = (_require_printable(value, name, form) for value in (username, password))
    return GitCredentials(username, password, name)


def load_agent_key(secrets: SecretsManagerClient, name: str) -> str:
    """The agent's API key, which is the whole secret."""
    return _require_printable(_read_secret(secrets, name, _KEY_FORM), name, _KEY_FORM)


def load_test_secret(secrets: SecretsManagerClient, name: str) -> str:
    """The value of an environment variable of setup, which is the whole secret."""
    return _require_printable(_read_secret(secrets, name, _TEST_FORM), name, _TEST_FORM)


def require_test_secret(secrets: SecretsManagerClient, name: str) -> None:
    """Make sure that a secret of setup can be read, without reading it."""
    _require_secret(secrets, name, _TEST_FORM)


def require_git_credentials(secrets: SecretsManagerClient, name: str) -> None:
    """Make sure that the secret with the git credentials can be read, without reading it."""
    _require_secret(secrets, name, _CREDENTIALS_FORM)


def require_agent_key(secrets: SecretsManagerClient, name: str) -> None:
    """Make sure that the secret with the agent's key can be read, without reading it."""
    _require_secret(secrets, name, _KEY_FORM)


def _require_secret(secrets: SecretsManagerClient, name: str, form: str) -> None:
    try:
        # AWS leaves out what a secret does not have; the stubs declare every field as present.
        answer: Mapping[str, Any] = secrets.describe_secret(SecretId=name)
    except ClientError as error:
        raise _absence(error, name, form) or error from None
    if answer.get("DeletedDate"):
        raise _pending_deletion(name)
    if not any("AWSCURRENT" in stages for stages in answer.get("VersionIdsToStages", {}).values()):
        raise SecretMissing(f"the secret {name} has no value", _put_secret(name, form))


def _read_secret(secrets: SecretsManagerClient, name: str, form: str) -> str:
    try:
        answer = secrets.get_secret_value(SecretId=name)
    except ClientError as error:
        raise _absence(error, name, form) or error from None
    text, remedy = answer.get("SecretString", "").strip(), _put_secret(name, form)
    if not text:
        raise SecretEmpty(f"the secret {name} is empty", remedy)
    if _is_placeholder(text):
        raise SecretPlaceholder(f"the secret {name} still holds a placeholder", remedy)
    return text


def _absence(error: ClientError, name: str, form: str) -> KiroWorkerError | None:
    """Why Secrets Manager does not return the secret ``name``; ``None`` if ``error`` has another cause."""
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code == "ResourceNotFoundException" and "secret value" in message:
        return SecretMissing(f"the secret {name} has no value", _put_secret(name, form))
    if code == "ResourceNotFoundException":
        create = f"aws secretsmanager create-secret --name {name} --secret-string '{form}'"
        return SecretMissing(f"the secret {name} does not exist", create)
    if code == "InvalidRequestException" and _PENDING_DELETION.search(message):
        return _pending_deletion(name)
    if refused := refusal(error):
        # AWS also denies a request for a secret that does not exist, if the role may read only certain secrets.
        exists = f"aws secretsmanager describe-secret --secret-id {name} shows whether it exists; if it does: "
        return type(refused)(f"the secret {name} cannot be read: {refused.reason}", exists + refused.remedy)
    return None


def _pending_deletion(name: str) -> SecretPendingDeletion:
    return SecretPendingDeletion(
        f"the secret {name} is scheduled for deletion", f"aws secretsmanager restore-secret --secret-id {name}"
    )


def _read_field(text: str, name: str, key: str, form: str) -> str:
    remedy = _put_secret(name, form)
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


def _require_printable(value: str, name: str, form: str) -> str:
    # A line break in a token would end an HTTP header or a git credential and start another.
    if not all("!" <= character <= "~" for character in value):
        raise SecretMalformed(f"the secret {name} contains white space or control characters", _put_secret(name, form))
    return value


def _put_secret(name: str, form: str) -> str:
    return f"aws secretsmanager put-secret-value --secret-id {name} --secret-string '{form}'"
