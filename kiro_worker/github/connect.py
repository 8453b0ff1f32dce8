"""A session with the configured GitHub, from what a step's environment names."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from kiro_worker.config.model import Configuration
from kiro_worker.config.parameter import load_configuration
from kiro_worker.config.secrets import load_github_token
from kiro_worker.github.client import GitHubSession, github_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_ssm import SSMClient


@asynccontextmanager
async def configured_session(
    ssm: SSMClient, secrets: SecretsManagerClient, environment: Mapping[str, str]
) -> AsyncIterator[tuple[GitHubSession, Configuration]]:
    """Reads the configuration and the token anew, so that a change of either needs no deployment."""
    configuration = load_configuration(ssm, environment["CONFIG_PARAMETER_NAME"])
    token = load_github_token(secrets, environment["GITHUB_TOKEN_SECRET_ARN"])
    async with github_session(configuration.github_api_url, token) as session:
        yield session, configuration
