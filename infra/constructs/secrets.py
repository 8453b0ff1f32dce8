"""The three secrets. Their values are never in the template: people put them, with the commands of the guide."""

from __future__ import annotations

from aws_cdk import SecretValue
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.settings import Settings

# Not a secret: the worker recognises this word and says which command puts the real value.
PLACEHOLDER = "placeholder"


class Secrets(Construct):
    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self.github_token = self._secret(
            settings, "GitHubToken", "github-token", "GitHub API token: a plain string, or JSON with `token`"
        )
        self.git_credentials = self._secret(
            settings, "GitCredentials", "git-credentials", 'git over HTTPS: JSON {"username", "password"}'
        )
        self.kiro_api_key = self._secret(
            settings, "KiroApiKey", "kiro-api-key", "Key that the Kiro CLI runs headless with"
        )

    def _secret(self, settings: Settings, construct_id: str, name: str, description: str) -> secretsmanager.Secret:
        return secretsmanager.Secret(
            self,
            construct_id,
            secret_name=f"{settings.prefix}-{name}",
            description=description,
            secret_string_value=SecretValue.unsafe_plain_text(PLACEHOLDER),
        )
