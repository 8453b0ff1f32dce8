"""The configuration and the secrets, read from an AWS server."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from mypy_boto3_secretsmanager import SecretsManagerClient
from mypy_boto3_ssm import SSMClient

from kiro_worker.config.parameter import load_configuration
from kiro_worker.config.secrets import (
    load_agent_key,
    load_git_credentials,
    load_github_token,
    require_git_credentials,
)
from kiro_worker.errors import (
    ConfigurationInvalid,
    ConfigurationMissing,
    SecretMissing,
    SecretPendingDeletion,
    SecretPlaceholder,
)

NAME = "/kiro-worker/test/github-project-config"
DOCUMENT = {
    "organization": "acme",
    "repository": "shop",
    "projectNumber": 1,
    "targetStatusColumn": "For Implementation",
}
TOKEN = "kiro-worker-test-github-token"


@pytest.fixture
def ssm(aws: dict[str, Any]) -> SSMClient:
    return boto3.client("ssm", **aws)


@pytest.fixture
def secrets(aws: dict[str, Any]) -> SecretsManagerClient:
    return boto3.client("secretsmanager", **aws)


def test_parameter_is_loaded(ssm: SSMClient) -> None:
    ssm.put_parameter(Name=NAME, Type="String", Value=json.dumps(DOCUMENT))
    assert load_configuration(ssm, NAME).allowed_repositories == ("acme/shop",)


def test_missing_parameter_names_command(ssm: SSMClient) -> None:
    with pytest.raises(ConfigurationMissing, match=f"aws ssm put-parameter --name {NAME}"):
        load_configuration(ssm, NAME)


def test_invalid_parameter_names_command(ssm: SSMClient) -> None:
    ssm.put_parameter(Name=NAME, Type="String", Value="{not json")
    with pytest.raises(ConfigurationInvalid, match="aws ssm put-parameter"):
        load_configuration(ssm, NAME)


def test_missing_secret_is_reported_by_name(secrets: SecretsManagerClient) -> None:
    with pytest.raises(SecretMissing, match=TOKEN):
        load_github_token(secrets, TOKEN)


def test_remedy_names_secret(secrets: SecretsManagerClient) -> None:
    secrets.create_secret(Name=TOKEN, SecretString="placeholder")
    with pytest.raises(SecretPlaceholder, match=f"aws secretsmanager put-secret-value --secret-id {TOKEN} "):
        load_github_token(secrets, TOKEN)


def test_secret_pending_deletion_can_be_restored(secrets: SecretsManagerClient) -> None:
    secrets.create_secret(Name=TOKEN, SecretString="ghp_0123456789abcdef\n")
    secrets.delete_secret(SecretId=TOKEN)
    for read in (load_github_token, require_git_credentials):
        with pytest.raises(SecretPendingDeletion, match=f"aws secretsmanager restore-secret --secret-id {TOKEN}"):
            read(secrets, TOKEN)
    secrets.restore_secret(SecretId=TOKEN)
    require_git_credentials(secrets, TOKEN)
    assert load_github_token(secrets, TOKEN) == "ghp_0123456789abcdef"


def test_recreated_secret_is_found_under_its_name(secrets: SecretsManagerClient) -> None:
    before = secrets.create_secret(Name=TOKEN, SecretString="ghp_0123456789abcdef")["ARN"]
    secrets.delete_secret(SecretId=TOKEN, ForceDeleteWithoutRecovery=True)
    for read in (load_github_token, require_git_credentials):
        with pytest.raises(SecretMissing, match=f"aws secretsmanager create-secret --name {TOKEN} "):
            read(secrets, TOKEN)
    assert secrets.create_secret(Name=TOKEN, SecretString="ghp_fedcba9876543210")["ARN"] != before
    require_git_credentials(secrets, TOKEN)
    assert load_github_token(secrets, TOKEN) == "ghp_fedcba9876543210"


def test_git_credentials_are_loaded(secrets: SecretsManagerClient) -> None:
    text = '{"username":"git","password":"hush-hush"}'
    secrets.create_secret(Name="kiro-worker-test-git-credentials", SecretString=text)
    credentials = load_git_credentials(secrets, "kiro-worker-test-git-credentials")
    assert (credentials.username, credentials.password) == ("git", "hush-hush")


def test_agent_key_is_loaded(secrets: SecretsManagerClient) -> None:
    secrets.create_secret(Name="kiro-worker-test-kiro-api-key", SecretString="ksk_0123456789")
    assert load_agent_key(secrets, "kiro-worker-test-kiro-api-key") == "ksk_0123456789"
