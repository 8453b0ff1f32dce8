"""The three secrets. The template holds placeholders only; operators set the values with the commands in the guide."""

from __future__ import annotations

from aws_cdk import SecretValue
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.settings import Settings

# Not a secret: the worker recognizes this word and names the command that sets the real value.
PLACEHOLDER = "placeholder"


class Secrets(Construct):
    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        names = settings.names
        self.github_token = self._secret(
            "GitHubToken", names.github_token_secret, "GitHub API token: a plain string, or JSON with `token`"
        )
        self.git_credentials = self._secret(
            "GitCredentials", names.git_credentials_secret, 'git over HTTPS: JSON {"username", "password"}'
        )
        self.kiro_api_key = self._secret(
            "KiroApiKey", names.kiro_api_key_secret, "Key that the Kiro CLI runs headless with"
        )

    def _secret(self, construct_id: str, name: str, description: str) -> secretsmanager.Secret:
        return secretsmanager.Secret(
            self,
            construct_id,
            secret_name=name,
            description=description,
            secret_string_value=SecretValue.unsafe_plain_text(PLACEHOLDER),
        )
