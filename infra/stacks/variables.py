"""The environment variables of the steps and of the build."""

from __future__ import annotations

from dataclasses import dataclass

from infra.settings import Settings
from infra.stacks.core import CoreStack


@dataclass(frozen=True)
class Variables:
    """Groups of variables by what they give access to, to be merged with ``|``."""

    settings: Settings
    core: CoreStack

    @property
    def configuration(self) -> dict[str, str]:
        return {"CONFIG_PARAMETER_NAME": self.core.config.parameter_name}

    @property
    def github_token(self) -> dict[str, str]:
        return {"GITHUB_TOKEN_SECRET_NAME": self.settings.names.github_token_secret}

    @property
    def build_secrets(self) -> dict[str, str]:
        """The secrets that only builds read."""
        names = self.settings.names
        return {
            "GIT_CREDENTIALS_SECRET_NAME": names.git_credentials_secret,
            "KIRO_API_KEY_SECRET_NAME": names.kiro_api_key_secret,
        }

    @property
    def locks(self) -> dict[str, str]:
        return {"LOCKS_TABLE_NAME": self.core.lock_table.table_name}

    @property
    def records(self) -> dict[str, str]:
        return {"RECORDS_TABLE_NAME": self.core.records_table.table_name}

    @property
    def lease(self) -> dict[str, str]:
        return {"LOCK_LEASE_SECONDS": str(self.settings.lock_lease_seconds)}

    @property
    def build_project(self) -> dict[str, str]:
        return {"BUILD_PROJECT_NAME": self.settings.names.build_project}

    @property
    def build_limits(self) -> dict[str, str]:
        """What no repository can exceed."""
        return {"BUILD_TIMEOUT_MINUTES": str(self.settings.machine.timeout_minutes)}

    @property
    def build(self) -> dict[str, str]:
        """Everything that the build reads: names of its secrets, never their values."""
        return {
            "ENVIRONMENT": self.settings.environment,
            **self.configuration,
            **self.locks,
            **self.records,
            **self.lease,
            **self.github_token,
            **self.build_secrets,
            "ARTIFACTS_BUCKET_NAME": self.core.artifacts.bucket_name,
            "KIRO_CLI_URL": self.settings.kiro_cli_url,
            "KIRO_CLI_SHA256": self.settings.kiro_cli_sha256,
            **self.settings.agent_pins,
            # The installation's own image. A build that runs on another one was given it by its repository's settings.
            "BUILD_IMAGE": self.settings.machine.image,
            "BUILD_PRIVILEGED": "true" if self.settings.machine.privileged else "false",
        }
