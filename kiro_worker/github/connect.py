"""Opens a session with GitHub from a step's environment variables."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kiro_worker.config.model import Configuration
from kiro_worker.config.parameter import load_configuration
from kiro_worker.config.secrets import load_github_token
from kiro_worker.github.client import GitHubSession, github_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_ssm import SSMClient

    from kiro_worker.environment import GitHubEnvironment


@asynccontextmanager
async def configured_session(
    ssm: SSMClient, secrets: SecretsManagerClient, environment: GitHubEnvironment
) -> AsyncIterator[tuple[GitHubSession, Configuration]]:
    """A session and the configuration. Configuration and token are read each time, so a change needs no deployment."""
    configuration = load_configuration(ssm, environment.config_parameter_name)
    async with session_of(configuration, secrets, environment) as session:
        yield session, configuration


@asynccontextmanager
async def session_of(
    configuration: Configuration, secrets: SecretsManagerClient, environment: GitHubEnvironment
) -> AsyncIterator[GitHubSession]:
    """A session for a configuration that is known already. The token is read each time."""
    token = load_github_token(secrets, environment.github_token_secret_name)
    async with github_session(configuration.github_api_url, token) as session:
        yield session
