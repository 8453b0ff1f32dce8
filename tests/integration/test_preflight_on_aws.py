"""The preflight against an emulated AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest

from kiro_worker.config.settings import AgentSettings
from kiro_worker.environment import ValidateWorkItemEnvironment
from kiro_worker.errors import (
    AgentNotPinned,
    BuildProjectMissing,
    KiroWorkerError,
    SecretMissing,
    SecretPendingDeletion,
)
from kiro_worker.names import Names
from kiro_worker.outcomes import FaultOwner
from kiro_worker.preflight import require_installation
from kiro_worker.runner.agent.adapters import ADAPTERS, KIRO
from tests.support.settings import settings

NAMES = Names("test")
ENVIRONMENT = ValidateWorkItemEnvironment(
    config_parameter_name=NAMES.configuration_parameter,
    github_token_secret_name=NAMES.github_token_secret,
    records_table_name=NAMES.records_table,
    git_credentials_secret_name=NAMES.git_credentials_secret,
    kiro_api_key_secret_name=NAMES.kiro_api_key_secret,
    build_project_name=NAMES.build_project,
    build_timeout_minutes=150,
)
PIN = {"KIRO_CLI_URL": "https://cli.example/kirocli.tar.gz", "KIRO_CLI_SHA256": "0A" * 32}
IMAGE = "aws/codebuild/amazonlinux-aarch64-standard:3.0"
COMMAND: dict[str, Any] = {"name": "command", "command": ("agent",)}
Preflight = Callable[..., None]


def create_project(codebuild: Any, variables: dict[str, str], image: str = IMAGE) -> None:
    codebuild.create_project(
        name=NAMES.build_project,
        source={"type": "S3", "location": "bucket/source.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        environment={
            "type": "ARM_CONTAINER",
            "image": image,
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [
                {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()
            ],
        },
        serviceRole="arn:aws:iam::123456789012:role/build",
    )


@pytest.fixture
def secrets(aws: dict[str, Any]) -> Any:
    """Secrets Manager with the two secrets of a build, whose values are not set yet."""
    client = boto3.client("secretsmanager", **aws)
    for name in (NAMES.git_credentials_secret, NAMES.kiro_api_key_secret):
        client.create_secret(Name=name, SecretString="placeholder")
    return client


@pytest.fixture
def codebuild(aws: dict[str, Any]) -> Any:
    return boto3.client("codebuild", **aws)


@pytest.fixture
def preflight(secrets: Any, codebuild: Any) -> Preflight:
    """The preflight for an agent's configuration."""

    def check(agent: Any = KIRO.name) -> None:
        require_installation(secrets, codebuild, ENVIRONMENT, settings(agent=agent))

    return check


def check_refused(preflight: Preflight, error: type[KiroWorkerError], *expected: str, agent: Any = "kiro") -> None:
    with pytest.raises(error) as caught:
        preflight(agent)
    assert caught.value.owner is FaultOwner.INSTALLATION
    for text in expected:
        assert text in str(caught.value)


def test_complete_installation_passes(preflight: Preflight, codebuild: Any) -> None:
    create_project(codebuild, PIN)
    preflight()


def test_deleted_git_credentials_are_found(preflight: Preflight, secrets: Any, codebuild: Any) -> None:
    create_project(codebuild, PIN)
    secrets.delete_secret(SecretId=NAMES.git_credentials_secret)
    restore = f"How to fix: aws secretsmanager restore-secret --secret-id {NAMES.git_credentials_secret}"
    check_refused(preflight, SecretPendingDeletion, restore, agent=COMMAND)
    secrets.delete_secret(SecretId=NAMES.git_credentials_secret, ForceDeleteWithoutRecovery=True)
    check_refused(preflight, SecretMissing, f"create-secret --name {NAMES.git_credentials_secret} ", agent=COMMAND)


@pytest.mark.parametrize("agent", ["claude", "codex", "gemini", "kiro"])
def test_agent_needs_its_key(preflight: Preflight, secrets: Any, codebuild: Any, agent: str) -> None:
    create_project(codebuild, PIN)
    secrets.delete_secret(SecretId=NAMES.kiro_api_key_secret)
    check_refused(preflight, SecretPendingDeletion, NAMES.kiro_api_key_secret, agent=agent)


def test_command_needs_neither_key_nor_pin(preflight: Preflight, secrets: Any, codebuild: Any) -> None:
    create_project(codebuild, {})
    secrets.delete_secret(SecretId=NAMES.kiro_api_key_secret)
    preflight(COMMAND)


@pytest.mark.parametrize("agent", ["kiro", COMMAND], ids=str)
def test_missing_project_is_found(preflight: Preflight, agent: Any) -> None:
    check_refused(preflight, BuildProjectMissing, "project kiro-worker-test ", "How to fix: make deploy", agent=agent)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "does not set KIRO_CLI_URL and KIRO_CLI_SHA256"),
        ({**PIN, "KIRO_CLI_SHA256": ""}, "does not set KIRO_CLI_SHA256"),
        ({**PIN, "KIRO_CLI_URL": ""}, "does not set KIRO_CLI_URL\n"),
        ({**PIN, "KIRO_CLI_SHA256": "0a"}, "KIRO_CLI_SHA256 is not 64 hex digits"),
        ({**PIN, "KIRO_CLI_URL": "file:///etc/passwd"}, "is not an http(s) URL"),
    ],
)
def test_kiro_needs_pin(preflight: Preflight, codebuild: Any, variables: dict[str, str], expected: str) -> None:
    create_project(codebuild, variables)
    check_refused(preflight, AgentNotPinned, "kiro-worker-test: ", expected, "make deploy ARGS='--context kiroCliUrl=")
    preflight("claude")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CLAUDE_VERSION": "1.2.3"}, "does not set CLAUDE_INTEGRITY"),
        ({"CLAUDE_VERSION": "next", "CLAUDE_INTEGRITY": f"sha512-{'A' * 86}=="}, "is not a version such as"),
        ({"CLAUDE_VERSION": "1.2.3", "CLAUDE_INTEGRITY": "sha512-AAAA"}, "is not sha512- with a hash"),
    ],
)
def test_other_pin_of_agent_needs_form(
    preflight: Preflight, codebuild: Any, variables: dict[str, str], expected: str
) -> None:
    create_project(codebuild, variables)
    check_refused(preflight, AgentNotPinned, expected, "--context claudeVersion=", agent="claude")
    preflight("codex")


def test_custom_image_may_have_kiro(preflight: Preflight, codebuild: Any) -> None:
    create_project(codebuild, {}, image="123456789012.dkr.ecr.us-east-1.amazonaws.com/tools:1")
    preflight()


def test_missing_secret_of_setup_is_found(secrets: Any, codebuild: Any) -> None:
    create_project(codebuild, PIN)
    name = f"{NAMES.test_secrets_prefix}npm-token"
    chosen = settings(testSecrets={"NPM_TOKEN": name}, secrets=["NPM_TOKEN"])
    with pytest.raises(SecretMissing, match=name):
        require_installation(secrets, codebuild, ENVIRONMENT, chosen)
    secrets.create_secret(Name=name, SecretString="npm_0123456789")
    require_installation(secrets, codebuild, ENVIRONMENT, chosen)


def test_no_secret_is_read(preflight: Preflight, secrets: Any, codebuild: Any) -> None:
    """The step's role may not read these secrets."""
    create_project(codebuild, PIN)
    called: list[str] = []
    for client in (secrets, codebuild):
        client.meta.events.register("before-call", lambda model, **_: called.append(model.name))
    preflight()
    assert called == ["DescribeSecret", "BatchGetProjects", "DescribeSecret"]


def test_preflight_knows_what_adapters_need() -> None:
    """Functions cannot import the adapters, which belong to the runner."""
    for name, adapter in ADAPTERS.items():
        configured = settings(agent=name).agent
        assert configured.needs_key is bool(adapter.key_variable)
        assert configured.is_kiro is (adapter is KIRO)
    assert not AgentSettings(**COMMAND).needs_key
