"""The environment variables that the CDK app sets on each function and on the build, parsed into typed values."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Self

from kiro_worker.errors import ConfigurationInvalid, ConfigurationMissing

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Environment:
    """A set of variables: each field is the lower-case name of its variable, and is required without a default."""

    @classmethod
    def parse(cls, environment: Mapping[str, str]) -> Self:
        """The typed values. Raises :class:`ConfigurationMissing` that names every variable that is missing or empty."""
        variables = {field: field.name.upper() for field in fields(cls)}
        required = [name for field, name in variables.items() if field.default is MISSING]
        if missing := [name for name in required if not environment.get(name)]:
            raise ConfigurationMissing(
                f"the environment lacks {', '.join(missing)}", "the CDK app sets these variables: make deploy"
            )
        values = {
            field.name: _number(name, environment[name]) if field.type == "int" else environment[name]
            for field, name in variables.items()
            if name in environment
        }
        return cls(**values)


@dataclass(frozen=True)
class GitHubEnvironment(Environment):
    """For the steps that talk to GitHub: ``ValidateWorkItem`` and ``UpdateStatus``."""

    config_parameter_name: str
    github_token_secret_arn: str


@dataclass(frozen=True)
class LocksEnvironment(Environment):
    """For the steps that only free locks: ``ReleaseLock``."""

    locks_table_name: str


@dataclass(frozen=True)
class FetchWorkItemEnvironment(GitHubEnvironment, LocksEnvironment):
    """For ``FetchWorkItem``, which selects a card and clears the locks of abandoned runs."""


@dataclass(frozen=True)
class AcquireLockEnvironment(LocksEnvironment):
    """For ``AcquireLock``, which reads the lock's scope from the configuration."""

    config_parameter_name: str
    lock_lease_seconds: int


@dataclass(frozen=True)
class RunnerEnvironment(AcquireLockEnvironment):
    """For the program that CodeBuild runs. A secret without a value here is one that this build does not read."""

    git_credentials_secret_arn: str
    kiro_api_key_secret_arn: str = ""
    github_token_secret_arn: str = ""


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ConfigurationInvalid(
            f"{name} in the environment is {value[:100]!r}, not a number", "the CDK app sets this variable: make deploy"
        ) from None
