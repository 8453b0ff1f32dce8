from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from kiro_worker.exported_variables import EXPORTED_VARIABLES
from kiro_worker.models import BuildResult
from kiro_worker.runner.progress import BuildProgress
from kiro_worker.runner.report.variables import exported_variables

ROOT = Path(__file__).parents[2]
FROM_CODEBUILD = {"build_id", "status", "log_url"}
"""What CodeBuild says about every build, with or without exported variables."""


def test_buildspec_matches_the_list() -> None:
    buildspec = yaml.safe_load((ROOT / "buildspec.yml").read_text("utf-8"))

    assert buildspec["env"]["exported-variables"] == list(EXPORTED_VARIABLES)


def test_runner_matches_the_list() -> None:
    assert list(exported_variables(BuildProgress())) == list(EXPORTED_VARIABLES)


def test_every_field_is_filled_by_one_variable() -> None:
    filled = list(EXPORTED_VARIABLES.values())

    assert len(filled) == len(set(filled))
    assert set(filled) == {field.name for field in fields(BuildResult)} - FROM_CODEBUILD


def test_steps_read_every_variable_into_its_field() -> None:
    special = {
        "OUTCOME": ("TestsFailed", "TestsFailed"),
        "OUTCOME_OWNER": ("repository", "repository"),
        "OUTCOME_ERROR": ("SecretPlaceholder", "SecretPlaceholder"),
        "RESULT_FENCE": ("17", 17),
        "RETRY_AFTER": ("1790000000", 1_790_000_000),
        "TAIL": ('"a\\nb"', "a\nb"),
        "OPEN_TASKS": ('"1. a\\n2. b"', "1. a\n2. b"),
    }
    values = {name: special.get(name, (f"the {name}",) * 2) for name in EXPORTED_VARIABLES}
    variables = [{"Name": name, "Value": written} for name, (written, _) in values.items()]

    build = BuildResult.from_document({"id": "b:1", "variables": variables})

    for name, (_, expected) in values.items():
        assert getattr(build, EXPORTED_VARIABLES[name]) == expected, name


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OUTCOME", "Fine"),
        ("OUTCOME_OWNER", "nobody"),
        ("OUTCOME_OWNER", "CARD"),
        ("OUTCOME_ERROR", "States.Timeout"),
        ("OUTCOME_ERROR", "GitHubError"),
        ("OUTCOME_ERROR", "BuildStopped"),
        ("OUTCOME_ERROR", "LockLost"),
        ("OUTCOME_ERROR", "SecretMissing "),
    ],
)
def test_value_outside_closed_list_is_ignored(variable: str, value: str) -> None:
    build = BuildResult.from_document({"id": "b:1", "variables": [{"Name": variable, "Value": value}]})

    assert getattr(build, EXPORTED_VARIABLES[variable]) == ""
