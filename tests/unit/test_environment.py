"""The typed environment variables, and that the CDK app sets each of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kiro_worker.environment import (
    AcquireLockEnvironment,
    Environment,
    FetchWorkItemEnvironment,
    GitHubEnvironment,
    LocksEnvironment,
    ReadBuildResultEnvironment,
    RunnerEnvironment,
    UpdateStatusEnvironment,
    ValidateWorkItemEnvironment,
)
from kiro_worker.errors import ConfigurationInvalid, ConfigurationMissing

ALL = {
    "BUILD_PROJECT_NAME": "project",
    "BUILD_TIMEOUT_MINUTES": "150",
    "CONFIG_PARAMETER_NAME": "parameter",
    "GITHUB_TOKEN_SECRET_NAME": "token",
    "GIT_CREDENTIALS_SECRET_NAME": "git",
    "KIRO_API_KEY_SECRET_NAME": "key",
    "LOCKS_TABLE_NAME": "locks",
    "LOCK_LEASE_SECONDS": "7200",
    "RECORDS_TABLE_NAME": "records",
    "SOMETHING_ELSE": "ignored",
}
REQUIRED: list[tuple[type[Environment], set[str]]] = [
    (GitHubEnvironment, {"CONFIG_PARAMETER_NAME", "GITHUB_TOKEN_SECRET_NAME"}),
    (
        ValidateWorkItemEnvironment,
        {
            "BUILD_PROJECT_NAME",
            "BUILD_TIMEOUT_MINUTES",
            "CONFIG_PARAMETER_NAME",
            "GITHUB_TOKEN_SECRET_NAME",
            "GIT_CREDENTIALS_SECRET_NAME",
            "KIRO_API_KEY_SECRET_NAME",
            "RECORDS_TABLE_NAME",
        },
    ),
    (LocksEnvironment, {"LOCKS_TABLE_NAME"}),
    (UpdateStatusEnvironment, {"CONFIG_PARAMETER_NAME", "GITHUB_TOKEN_SECRET_NAME", "RECORDS_TABLE_NAME"}),
    (
        FetchWorkItemEnvironment,
        {"CONFIG_PARAMETER_NAME", "GITHUB_TOKEN_SECRET_NAME", "LOCKS_TABLE_NAME", "RECORDS_TABLE_NAME"},
    ),
    (
        ReadBuildResultEnvironment,
        {
            "BUILD_PROJECT_NAME",
            "CONFIG_PARAMETER_NAME",
            "GITHUB_TOKEN_SECRET_NAME",
            "LOCKS_TABLE_NAME",
            "RECORDS_TABLE_NAME",
        },
    ),
    (
        AcquireLockEnvironment,
        {"CONFIG_PARAMETER_NAME", "LOCKS_TABLE_NAME", "LOCK_LEASE_SECONDS", "RECORDS_TABLE_NAME"},
    ),
    (
        RunnerEnvironment,
        {
            "CONFIG_PARAMETER_NAME",
            "LOCKS_TABLE_NAME",
            "LOCK_LEASE_SECONDS",
            "RECORDS_TABLE_NAME",
            "GIT_CREDENTIALS_SECRET_NAME",
        },
    ),
]


def test_values_are_typed() -> None:
    assert AcquireLockEnvironment.parse(ALL) == AcquireLockEnvironment(
        locks_table_name="locks",
        config_parameter_name="parameter",
        lock_lease_seconds=7200,
        records_table_name="records",
    )


@pytest.mark.parametrize(("kind", "required"), REQUIRED, ids=lambda value: getattr(value, "__name__", ""))
def test_every_missing_variable_is_named(kind: type[Environment], required: set[str]) -> None:
    with pytest.raises(ConfigurationMissing, match="make deploy") as caught:
        kind.parse({"SOMETHING_ELSE": "x"})
    assert set(re.findall("[A-Z_]{6,}", caught.value.reason)) == required


@pytest.mark.parametrize("value", [{}, {"LOCKS_TABLE_NAME": ""}])
def test_empty_variable_is_missing(value: dict[str, str]) -> None:
    with pytest.raises(ConfigurationMissing, match="missing or empty: LOCKS_TABLE_NAME"):
        LocksEnvironment.parse(value)


def test_optional_secrets_are_empty() -> None:
    required = {name: ALL[name] for kind, names in REQUIRED if kind is RunnerEnvironment for name in names}
    parsed = RunnerEnvironment.parse(required)
    assert (parsed.kiro_api_key_secret_name, parsed.github_token_secret_name) == ("", "")
    assert RunnerEnvironment.parse(ALL).kiro_api_key_secret_name == "key"


@pytest.mark.parametrize("value", ["soon", "7200.5"])
def test_number_must_be_numeric(value: Any) -> None:
    with pytest.raises(ConfigurationInvalid, match="LOCK_LEASE_SECONDS"):
        AcquireLockEnvironment.parse(ALL | {"LOCK_LEASE_SECONDS": value})


def test_stacks_set_every_variable() -> None:
    modules = (Path(__file__).parents[2] / "infra" / "stacks").glob("*.py")
    stacks = "".join(module.read_text("utf-8") for module in modules)
    assert [name for name in ALL if name != "SOMETHING_ELSE" and f'"{name}"' not in stacks] == []
