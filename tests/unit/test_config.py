from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from mypy_boto3_secretsmanager import SecretsManagerClient
from mypy_boto3_ssm import SSMClient

from kiro_worker.config.parameter import load_configuration
from kiro_worker.config.secrets import load_agent_key, load_git_credentials, load_github_token
from kiro_worker.errors import (
    ConfigurationInvalid,
    ConfigurationMissing,
    KiroWorkerError,
    SecretEmpty,
    SecretMalformed,
    SecretMissing,
    SecretPlaceholder,
)

NAME = "/kiro-worker/test/github-project-config"
MINIMAL = {
    "organization": "acme",
    "repository": "shop",
    "projectNumber": 1,
    "targetStatusColumn": "For Implementation",
}


@pytest.fixture
def ssm(aws: dict[str, Any]) -> SSMClient:
    return boto3.client("ssm", **aws)


@pytest.fixture
def secrets(aws: dict[str, Any]) -> SecretsManagerClient:
    return boto3.client("secretsmanager", **aws)


def put(ssm: SSMClient, value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    ssm.put_parameter(Name=NAME, Type="String", Value=text, Overwrite=True)


def test_the_guides_four_keys_are_enough(ssm: SSMClient) -> None:
    put(ssm, MINIMAL)
    configuration = load_configuration(ssm, NAME)
    assert configuration.allowed_repositories == ("acme/shop",)
    assert configuration.statuses == ("For Implementation", "In Progress", "In Review", "Blocked")
    assert configuration.agent.name == "kiro"
    assert configuration.coverage_threshold == 80


def test_commands_are_split_into_words_or_taken_as_given(ssm: SSMClient) -> None:
    put(ssm, MINIMAL | {"testCommand": "python3 -m unittest 'a b'", "agent": {"command": ["agent", "--x y"]}})
    configuration = load_configuration(ssm, NAME)
    assert configuration.test_command == ("python3", "-m", "unittest", "a b")
    assert (configuration.agent.name, configuration.agent.command) == ("command", ("agent", "--x y"))


def test_no_parameter_is_an_error_with_the_command_that_makes_it(ssm: SSMClient) -> None:
    with pytest.raises(ConfigurationMissing, match=f"aws ssm put-parameter --name {NAME}"):
        load_configuration(ssm, NAME)


def test_the_deployments_placeholder_is_not_a_configuration(ssm: SSMClient) -> None:
    put(ssm, MINIMAL | {"organization": "your-org"})
    with pytest.raises(ConfigurationMissing, match="placeholder"):
        load_configuration(ssm, NAME)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{not json", "is not JSON"),
        ([1], "must be a JSON object, but it is an array"),
        (MINIMAL | {"targetStatusColum": "x"}, 'unknown key "targetStatusColum"; did you mean "targetStatusColumn"'),
        (MINIMAL | {"in_progress_status": "x"}, 'did you mean "inProgressStatus"'),
        (MINIMAL | {"projectNumber": "1"}, '"projectNumber": Input should be a valid integer'),
        (MINIMAL | {"projectNumber": 0}, '"projectNumber"'),
        (MINIMAL | {"repositories": ["shop"]}, "must be owner/name"),
        (MINIMAL | {"lockScope": "galaxy"}, '"lockScope"'),
        (MINIMAL | {"githubApiUrl": "https://me:secret@api.example"}, "without user name or password"),
        (MINIMAL | {"gitUrl": "file:///etc"}, '"gitUrl"'),
        (MINIMAL | {"specRoot": "../x;y"}, '"specRoot"'),
        (MINIMAL | {"agent": {"command": []}}, "agent"),
        (MINIMAL | {"steering": "s3://acme-steering"}, "must be s3://bucket/prefix or owner/name@branch:path"),
        (MINIMAL | {"steering": "acme/steering@main:../x"}, "must be s3://bucket/prefix"),
        (MINIMAL | {"steering": "acme/steering@-f:kiro"}, "must be s3://bucket/prefix"),
        (MINIMAL | {"steering": "https://evil.example/x"}, "must be s3://bucket/prefix"),
        ({"organization": "acme"}, '"repository" is missing'),
    ],
)
def test_what_is_wrong_is_named(ssm: SSMClient, value: Any, message: str) -> None:
    put(ssm, value)
    with pytest.raises(ConfigurationInvalid) as caught:
        load_configuration(ssm, NAME)
    assert message in caught.value.reason
    assert "aws ssm put-parameter" in caught.value.remedy


TOKEN = "kiro-worker-test-github-token"
CREDENTIALS = "kiro-worker-test-git-credentials"


@pytest.mark.parametrize(
    "text", ["ghp_0123456789abcdef", '{"token": "ghp_0123456789abcdef"}', "ghp_0123456789abcdef\n"]
)
def test_the_token_is_plain_or_json(secrets: SecretsManagerClient, text: str) -> None:
    arn = secrets.create_secret(Name=TOKEN, SecretString=text)["ARN"]
    assert load_github_token(secrets, arn) == "ghp_0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("   ", SecretEmpty),
        ('{"token": ""}', SecretEmpty),
        ("placeholder", SecretPlaceholder),
        ("ghp_your_actual_token", SecretPlaceholder),
        ('{"token": "<token>"}', SecretPlaceholder),
        ('{"tokem": "hush-hush-0123"}', SecretMalformed),
        ('{"token": 7}', SecretMalformed),
        ("{hush-hush-0123", SecretMalformed),
        ("hush-hush-0123\r\nX-Evil: 1", SecretMalformed),
    ],
)
def test_a_bad_token_has_its_own_error_and_never_shows(
    secrets: SecretsManagerClient, text: str, error: type[KiroWorkerError]
) -> None:
    arn = secrets.create_secret(Name=TOKEN, SecretString=text)["ARN"]
    with pytest.raises(error) as caught:
        load_github_token(secrets, arn)
    assert f"aws secretsmanager put-secret-value --secret-id {TOKEN}" in str(caught.value)
    assert "hush-hush" not in str(caught.value)


def test_a_secret_that_is_not_there_is_missing(secrets: SecretsManagerClient) -> None:
    with pytest.raises(SecretMissing, match=TOKEN):
        load_github_token(secrets, TOKEN)


def test_git_credentials_are_json_and_hidden_in_representations(secrets: SecretsManagerClient) -> None:
    arn = secrets.create_secret(Name=CREDENTIALS, SecretString='{"username":"git","password":"hush-hush"}')["ARN"]
    credentials = load_git_credentials(secrets, arn)
    assert (credentials.username, credentials.password) == ("git", "hush-hush")
    assert "hush" not in repr(credentials)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("git:token", SecretMalformed),
        ('{"username":"git"}', SecretMalformed),
        ('{"username":"git","password":"your_token"}', SecretPlaceholder),
        ('{"username":"git","password":" "}', SecretEmpty),
        ('["git", "token"]', SecretMalformed),
        ('{"username":"git","password":"a\\nb"}', SecretMalformed),
    ],
)
def test_bad_git_credentials_are_named(secrets: SecretsManagerClient, text: str, error: type[KiroWorkerError]) -> None:
    arn = secrets.create_secret(Name=CREDENTIALS, SecretString=text)["ARN"]
    with pytest.raises(error):
        load_git_credentials(secrets, arn)


def test_the_agents_key_is_plain(secrets: SecretsManagerClient) -> None:
    arn = secrets.create_secret(Name="kiro-worker-test-kiro-api-key", SecretString="ksk_0123456789")["ARN"]
    assert load_agent_key(secrets, arn) == "ksk_0123456789"
