from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from mypy_boto3_secretsmanager import SecretsManagerClient
from mypy_boto3_ssm import SSMClient

from kiro_worker.config.parameter import load_configuration, parse_configuration
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
TOKEN = "kiro-worker-test-github-token"
TOKEN_ARN = f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{TOKEN}-a1B2c3"
CREDENTIALS = "kiro-worker-test-git-credentials"


def secrets_with(answer: dict[str, Any] | str) -> SecretsManagerClient:
    """A client whose next request gets this answer, or the error of this code."""
    client: SecretsManagerClient = boto3.client("secretsmanager", region_name="us-east-1")
    answer_next(client, "get_secret_value", answer)
    return client


def answer_next(client: Any, method: str, answer: dict[str, Any] | str) -> None:
    stub = Stubber(client)
    if isinstance(answer, str):
        stub.add_client_error(method, answer)
    else:
        stub.add_response(method, answer)
    stub.activate()


def test_four_keys_are_enough() -> None:
    configuration = parse_configuration(json.dumps(MINIMAL), NAME)
    assert configuration.allowed_repositories == ("acme/shop",)
    assert configuration.statuses == ("For Implementation", "In Progress", "In Review", "Blocked")
    assert configuration.agent.name == "kiro"
    assert configuration.coverage_threshold == 80


def test_text_commands_are_split() -> None:
    document = MINIMAL | {"testCommand": "python3 -m unittest 'a b'", "agent": {"command": ["agent", "--x y"]}}
    configuration = parse_configuration(json.dumps(document), NAME)
    assert configuration.test_command == ("python3", "-m", "unittest", "a b")
    assert (configuration.agent.name, configuration.agent.command) == ("command", ("agent", "--x y"))


@pytest.mark.parametrize(("submodules", "guarded"), [(False, ("AGENTS.md",)), (True, ("AGENTS.md", "./.gitmodules"))])
def test_submodules_guard_gitmodules_too(submodules: bool, guarded: tuple[str, ...]) -> None:
    document = MINIMAL | {"guardedPaths": ["AGENTS.md"], "submodules": submodules}
    assert parse_configuration(json.dumps(document), NAME).everything_guarded == guarded


def test_placeholder_counts_as_missing() -> None:
    with pytest.raises(ConfigurationMissing, match="placeholder"):
        parse_configuration(json.dumps(MINIMAL | {"organization": "your-org"}), NAME)


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
        (MINIMAL | {"specRoot": "specs/../../x"}, '"specRoot": must be a path inside the repository'),
        (MINIMAL | {"agent": {"command": []}}, "agent"),
        (MINIMAL | {"agent": "command"}, '"agent": the agent "command" needs "command", the program to run'),
        (MINIMAL | {"agent": {"maxCredits": float("inf")}}, "is not JSON"),
        (json.dumps(MINIMAL)[:-1] + ', "agent": {"maxCredits": 1e999}}', '"agent.maxCredits"'),
        (MINIMAL | {"projectNumber": 10**6}, '"projectNumber"'),
        (json.dumps(MINIMAL)[:-1] + f', "projectNumber": {"9" * 5000}}}', "number out of range"),
        ("[" * 100_000, "is not JSON"),
        ('{"agent":' * 5000 + "1" + "}" * 5000, "is not JSON"),
        (MINIMAL | {"organization": "acme\0"}, '"organization": must not contain control characters'),
        (MINIMAL | {"githubApiUrl": "https://api.example/\0"}, '"githubApiUrl"'),
        (MINIMAL | {"setup": "make\0"}, "must not contain a NUL character"),
        (MINIMAL | {"testCommand": ["make", "a\0"]}, "must not contain a NUL character"),
        (MINIMAL | {"targetStatusColumn": "In Review"}, '"targetStatusColumn" and "reviewStatus" are both'),
        (MINIMAL | {"inProgressStatus": "For Implementation"}, '"targetStatusColumn" and "inProgressStatus" are both'),
        (MINIMAL | {"failedStatus": "For Implementation"}, '"targetStatusColumn" and "failedStatus" are both'),
        (MINIMAL | {"blockedStatus": "In Progress"}, '"inProgressStatus" and "blockedStatus" are both'),
        (MINIMAL | {"steering": "s3://acme-steering"}, "must be s3://bucket/prefix or owner/name@branch:path"),
        (MINIMAL | {"steering": "acme/steering@main:../x"}, "must be s3://bucket/prefix"),
        (MINIMAL | {"steering": "acme/steering@-f:kiro"}, "must be s3://bucket/prefix"),
        (MINIMAL | {"steering": "https://evil.example/x"}, "must be s3://bucket/prefix"),
        ({"organization": "acme"}, '"repository" is missing'),
        (MINIMAL | {"agent": {"maxMinute": 5}}, 'unknown key "agent.maxMinute"; did you mean "maxMinutes"?'),
        (MINIMAL | {"zzz": 1}, 'unknown key "zzz"; the known keys are agent, allowedAuthorAssociations, blockedStatus'),
    ],
)
def test_invalid_configuration_is_explained(value: Any, message: str) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    with pytest.raises(ConfigurationInvalid) as caught:
        parse_configuration(text, NAME)
    assert message in caught.value.reason
    assert "aws ssm put-parameter" in caught.value.remedy


@pytest.mark.parametrize(
    "changes", [{"blockedStatus": "For Implementation"}, {"failedStatus": None, "blockedStatus": None}], ids=str
)
def test_statuses_that_cannot_loop_may_coincide(changes: dict[str, Any]) -> None:
    parse_configuration(json.dumps(MINIMAL | changes), NAME)


@pytest.mark.parametrize(
    ("code", "error"), [("ParameterNotFound", ConfigurationMissing), ("ThrottlingException", ClientError)]
)
def test_only_absent_parameter_is_missing(code: str, error: type[Exception]) -> None:
    ssm: SSMClient = boto3.client("ssm", region_name="us-east-1")
    answer_next(ssm, "get_parameter", code)
    with pytest.raises(error):
        load_configuration(ssm, NAME)


@pytest.mark.parametrize(
    "text", ["ghp_0123456789abcdef", '{"token": "ghp_0123456789abcdef"}', "ghp_0123456789abcdef\n"]
)
def test_token_is_plain_or_json(text: str) -> None:
    assert load_github_token(secrets_with({"SecretString": text}), TOKEN_ARN) == "ghp_0123456789abcdef"


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
def test_bad_token_has_its_own_error(text: str, error: type[KiroWorkerError]) -> None:
    with pytest.raises(error) as caught:
        load_github_token(secrets_with({"SecretString": text}), TOKEN_ARN)
    assert f"aws secretsmanager put-secret-value --secret-id {TOKEN}" in str(caught.value)
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("ResourceNotFoundException", SecretMissing),
        ("AccessDeniedException", ClientError),
        ({"SecretBinary": b"ghp_0123456789abcdef"}, SecretEmpty),
    ],
)
def test_absent_secret_has_its_own_error(answer: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        load_github_token(secrets_with(answer), TOKEN_ARN)


def test_credentials_hide_password() -> None:
    secrets = secrets_with({"SecretString": '{"username":"git","password":"hush-hush"}'})
    credentials = load_git_credentials(secrets, CREDENTIALS)
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
def test_bad_credentials_have_their_own_error(text: str, error: type[KiroWorkerError]) -> None:
    with pytest.raises(error):
        load_git_credentials(secrets_with({"SecretString": text}), CREDENTIALS)


@pytest.mark.parametrize(
    ("text", "error"), [("ksk_01234 56789", SecretMalformed), ("<key>", SecretPlaceholder), (" ", SecretEmpty)]
)
def test_bad_agent_key_has_its_own_error(text: str, error: type[KiroWorkerError]) -> None:
    with pytest.raises(error):
        load_agent_key(secrets_with({"SecretString": text}), "kiro-worker-test-kiro-api-key")
