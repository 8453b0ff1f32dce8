from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from mypy_boto3_secretsmanager import SecretsManagerClient
from mypy_boto3_ssm import SSMClient

from kiro_worker.config.parameter import load_configuration, parse_configuration, parse_configuration_file
from kiro_worker.config.resolve import resolve
from kiro_worker.config.secrets import (
    load_agent_key,
    load_git_credentials,
    load_github_token,
    require_agent_key,
    require_git_credentials,
)
from kiro_worker.errors import (
    AwsAccessDenied,
    ConfigurationInvalid,
    ConfigurationMissing,
    KiroWorkerError,
    SecretEmpty,
    SecretMalformed,
    SecretMissing,
    SecretPendingDeletion,
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
CREDENTIALS = "kiro-worker-test-git-credentials"


def secrets_with(
    answer: dict[str, Any] | str | tuple[str, str], method: str = "get_secret_value"
) -> SecretsManagerClient:
    """A client whose next request gets this answer, or the error of this code and message."""
    client: SecretsManagerClient = boto3.client("secretsmanager", region_name="us-east-1")
    answer_next(client, method, answer)
    return client


def answer_next(client: Any, method: str, answer: dict[str, Any] | str | tuple[str, str]) -> None:
    stub = Stubber(client)
    if isinstance(answer, tuple):
        stub.add_client_error(method, *answer)
    elif isinstance(answer, str):
        stub.add_client_error(method, answer)
    else:
        stub.add_response(method, answer)
    stub.activate()


def test_four_keys_are_enough() -> None:
    configuration = parse_configuration(json.dumps(MINIMAL), NAME)
    assert configuration.allowed_repositories == ("acme/shop",)
    assert configuration.statuses == ("For Implementation", "In Progress", "In Review", "Blocked")
    settings = resolve(configuration, "acme/shop")
    assert settings.agent.name == "kiro"
    assert settings.checks[0].coverage.threshold == 80


def test_command_can_be_text() -> None:
    defaults = {"test": "make test && make lint", "agent": {"command": "agent '--x y'"}}
    settings = resolve(parse_configuration(json.dumps(MINIMAL | {"repositoryDefaults": defaults}), NAME), "acme/shop")
    assert settings.checks[0].test == ("sh", "-eu", "-c", "make test && make lint")
    assert (settings.agent.name, settings.agent.command) == ("command", ("agent", "--x y"))


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
        (MINIMAL | {"repositoryDefaults": {"agent": {"command": []}}}, "agent"),
        (
            MINIMAL | {"repositoryDefaults": {"agent": "command"}},
            '.agent": the agent "command" needs "command", the program to run',
        ),
        (MINIMAL | {"repositoryDefaults": {"agent": {"maxCredits": float("inf")}}}, "is not JSON"),
        (json.dumps(MINIMAL)[:-1] + ', "repositoryDefaults": {"agent": {"maxCredits": 1e999}}}', 'agent.maxCredits"'),
        (MINIMAL | {"maxCreditsPerDay": 0}, '"maxCreditsPerDay": Input should be greater than 0'),
        (MINIMAL | {"repositoryDefaults": {"maxCreditsPerDay": "5"}}, '"repositoryDefaults.maxCreditsPerDay": Input'),
        (MINIMAL | {"projectNumber": 10**6}, '"projectNumber"'),
        (json.dumps(MINIMAL)[:-1] + f', "projectNumber": {"9" * 5000}}}', "number out of range"),
        ("[" * 100_000, "is not JSON"),
        ('{"agent":' * 5000 + "1" + "}" * 5000, "is not JSON"),
        (MINIMAL | {"organization": "acme\0"}, '"organization": must not contain control characters'),
        (MINIMAL | {"githubApiUrl": "https://api.example/\0"}, '"githubApiUrl"'),
        (MINIMAL | {"repositoryDefaults": {"setup": "make\0"}}, "must not contain a NUL character"),
        (MINIMAL | {"repositoryDefaults": {"test": ["make", "a\0"]}}, "must not contain a NUL character"),
        (MINIMAL | {"targetStatusColumn": "In Review"}, '"targetStatusColumn" and "reviewStatus" are both'),
        (MINIMAL | {"inProgressStatus": "For Implementation"}, '"targetStatusColumn" and "inProgressStatus" are both'),
        (MINIMAL | {"failedStatus": "For Implementation"}, '"targetStatusColumn" and "failedStatus" are both'),
        (MINIMAL | {"blockedStatus": "In Progress"}, '"inProgressStatus" and "blockedStatus" are both'),
        (MINIMAL | {"steering": "s3://acme-steering"}, "must be s3://bucket/prefix or owner/name@branch:path"),
        (MINIMAL | {"steering": "acme/steering@main:../x"}, "must be s3://bucket/prefix"),
        (MINIMAL | {"steering": "acme/steering@-f:kiro"}, "must be s3://bucket/prefix"),
        (MINIMAL | {"steering": "https://evil.example/x"}, "must be s3://bucket/prefix"),
        ({"organization": "acme"}, '"repository" is missing'),
        (
            MINIMAL | {"repositoryDefaults": {"agent": {"maxMinute": 5}}},
            'unknown key "repositoryDefaults.agent.maxMinute"; did you mean "maxMinutes"?',
        ),
        (MINIMAL | {"testCommand": "make"}, '"testCommand" is now "repositoryDefaults.test"'),
        (
            MINIMAL | {"coverageThreshold": 5, "agent": "kiro"},
            '"coverageThreshold" is now "repositoryDefaults.coverage',
        ),
        (
            MINIMAL | {"repositorySettings": {"a/b": {"tests": "x"}}},
            '"repositorySettings.a/b.tests"; did you mean "test"',
        ),
        (MINIMAL | {"repositorySettings": {"a/b": {}, "A/b": {}}}, "more than once"),
        (
            MINIMAL | {"limits": {"minutes": 60}, "repositoryDefaults": {"build": {"timeoutMinutes": 61}}},
            "limits.minutes",
        ),
        (MINIMAL | {"zzz": 1}, 'unknown key "zzz"; the known keys are allowDraft, allowedAuthorAssociations'),
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
    assert load_github_token(secrets_with({"SecretString": text}), TOKEN) == "ghp_0123456789abcdef"


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
        load_github_token(secrets_with({"SecretString": text}), TOKEN)
    assert f"aws secretsmanager put-secret-value --secret-id {TOKEN}" in str(caught.value)
    assert "hush-hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error", "expected"),
    [
        ("{", ConfigurationInvalid, "my-config.json is not JSON"),
        ("[]", ConfigurationInvalid, "my-config.json must be a JSON object"),
        (json.dumps(MINIMAL | {"projectNumbr": 1}), ConfigurationInvalid, 'did you mean "projectNumber"'),
        (json.dumps(MINIMAL | {"organization": "your-org"}), ConfigurationMissing, 'the placeholder "your-org"'),
    ],
)
def test_errors_of_file_name_the_file(text: str, error: type[KiroWorkerError], expected: str) -> None:
    with pytest.raises(error) as caught:
        parse_configuration_file(text, Path("my-config.json"))
    assert expected in caught.value.reason
    assert caught.value.remedy.startswith('edit my-config.json, which must have at least {"organization":')
    assert "aws" not in str(caught.value)


NOT_FOUND = "Secrets Manager can't find the specified secret"
UNREADABLE = [
    (("ResourceNotFoundException", f"{NOT_FOUND}."), SecretMissing, f"create-secret --name {TOKEN} "),
    (
        ("ResourceNotFoundException", f"{NOT_FOUND} value for staging label: AWSCURRENT"),
        SecretMissing,
        f"put-secret-value --secret-id {TOKEN} ",
    ),
    (
        (
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        ),
        SecretPendingDeletion,
        f"aws secretsmanager restore-secret --secret-id {TOKEN}",
    ),
    (
        (
            "InvalidRequestException",
            "You tried to perform the operation on a secret that's currently marked deleted.",
        ),
        SecretPendingDeletion,
        f"aws secretsmanager restore-secret --secret-id {TOKEN}",
    ),
    (
        (
            "AccessDeniedException",
            f"User: me is not authorized to perform: secretsmanager:GetSecretValue on resource: {TOKEN} because …",
        ),
        AwsAccessDenied,
        "make deploy",
    ),
    (("AccessDeniedException", "Access to KMS is not allowed"), AwsAccessDenied, "make deploy"),
    (("DecryptionFailure", "The protected secret cannot be decrypted"), AwsAccessDenied, "make deploy"),
    (("InvalidRequestException", "The secret is managed by another service."), ClientError, "managed by another"),
    (("ThrottlingException", "Rate exceeded"), ClientError, "Rate exceeded"),
]


@pytest.mark.parametrize(("answer", "error", "expected"), UNREADABLE)
def test_unreadable_secret_has_its_own_error(answer: Any, error: type[Exception], expected: str) -> None:
    with pytest.raises(error) as caught:
        load_github_token(secrets_with(answer), TOKEN)
    assert expected in str(caught.value)
    assert error is ClientError or f"the secret {TOKEN} " in str(caught.value)


@pytest.mark.parametrize(("answer", "error", "expected"), UNREADABLE)
def test_secret_is_checked_without_reading_it(answer: Any, error: type[Exception], expected: str) -> None:
    with pytest.raises(error) as caught:
        require_agent_key(secrets_with(answer, "describe_secret"), TOKEN)
    assert expected in str(caught.value)


def test_binary_secret_is_empty() -> None:
    with pytest.raises(SecretEmpty):
        load_github_token(secrets_with({"SecretBinary": b"ghp_0123456789abcdef"}), TOKEN)


@pytest.mark.parametrize(
    ("description", "error"),
    [
        ({"VersionIdsToStages": {"1" * 32: ["AWSPREVIOUS"], "2" * 32: ["AWSCURRENT"]}}, None),
        ({"VersionIdsToStages": {"1" * 32: ["AWSPREVIOUS"]}}, SecretMissing),
        ({}, SecretMissing),
        ({"VersionIdsToStages": {"1" * 32: ["AWSCURRENT"]}, "DeletedDate": 1795728173}, SecretPendingDeletion),
    ],
)
def test_description_shows_whether_secret_is_readable(description: Any, error: type[Exception] | None) -> None:
    secrets = secrets_with(description, "describe_secret")
    with pytest.raises(error, match=CREDENTIALS) if error else nullcontext():
        require_git_credentials(secrets, CREDENTIALS)


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
