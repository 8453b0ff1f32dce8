"""The environment variables that the CDK app sets on each function and on the build, parsed into typed values."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Self

from kiro_worker.errors import ConfigurationInvalid, ConfigurationMissing

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Environment:
    """A set of variables. Each field has its variable's name in lower case, and is required unless it has a default."""

    @classmethod
    def parse(cls, environment: Mapping[str, str]) -> Self:
        """The typed values. Raises :class:`ConfigurationMissing`, which names every missing or empty variable."""
        variables = {field: field.name.upper() for field in fields(cls)}
        required = [name for field, name in variables.items() if field.default is MISSING]
        if missing := [name for name in required if not environment.get(name)]:
            raise ConfigurationMissing(
                f"environment variables{_of_function(environment)} are missing or empty: {', '.join(missing)}",
                "the CDK app sets these variables: make deploy",
            )
        values = {
            field.name: _number(name, environment[name]) if field.type == "int" else environment[name]
            for field, name in variables.items()
            if name in environment
        }
        return cls(**values)


@dataclass(frozen=True)
class GitHubEnvironment(Environment):
    """Variables of the steps that call GitHub."""

    config_parameter_name: str
    github_token_secret_name: str


@dataclass(frozen=True)
class ValidateWorkItemEnvironment(GitHubEnvironment):
    """Variables of ``ValidateWorkItem``, which checks the installation before a build is started.

    It also reads what a redriven execution was about to push. ``build_timeout_minutes`` is the longest that a build may
    take, because the state machine and the lock last only a little longer.
    """

    records_table_name: str
    git_credentials_secret_name: str
    kiro_api_key_secret_name: str
    build_project_name: str
    build_timeout_minutes: int


@dataclass(frozen=True)
class LocksEnvironment(Environment):
    """Variables of ``ReleaseLock``, which only frees locks."""

    locks_table_name: str


@dataclass(frozen=True)
class UpdateStatusEnvironment(GitHubEnvironment):
    """Variables of ``UpdateStatus``, which reads what a run was about to push before it reports a failure."""

    records_table_name: str


@dataclass(frozen=True)
class FetchWorkItemEnvironment(UpdateStatusEnvironment, LocksEnvironment):
    """Variables of ``FetchWorkItem``, which selects a card and clears the locks of abandoned runs."""


@dataclass(frozen=True)
class ReadBuildResultEnvironment(UpdateStatusEnvironment, LocksEnvironment):
    """Variables of ``ReadBuildResult``, which reads a failed build and what the run was about to push."""

    build_project_name: str


@dataclass(frozen=True)
class AcquireLockEnvironment(LocksEnvironment):
    """Variables of ``AcquireLock``, which reads the lock's scope from the configuration."""

    config_parameter_name: str
    lock_lease_seconds: int
    records_table_name: str


@dataclass(frozen=True)
class RunnerEnvironment(AcquireLockEnvironment):
    """Variables of the runner. An empty name of a secret means that this build does not read that secret."""

    git_credentials_secret_name: str
    kiro_api_key_secret_name: str = ""
    github_token_secret_name: str = ""


def _of_function(environment: Mapping[str, str]) -> str:
    # Lambda sets this variable for every function.
    name = environment.get("AWS_LAMBDA_FUNCTION_NAME", "")
    return f" of the function {name}" if name else ""


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ConfigurationInvalid(
            f"the environment variable {name} is {value[:100]!r}, not a number",
            "the CDK app sets this variable: make deploy",
        ) from None
