"""Every name and path of an environment comes from ``kiro_worker.names``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiro_worker.names import ANY_NAMES, ENVIRONMENTS, Names, with_environment

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("kiro_worker", "kiro_local", "infra", "functions")
    for path in (ROOT / folder).rglob("*.py")
    if path != ROOT / "kiro_worker" / "names.py" and "demo/repository" not in path.as_posix()
)
# `kiro-worker-test`, `kiro-worker-{…}`, `/kiro-worker/test`, `/kiro-worker/{…}`
ENVIRONMENT_NAME = re.compile(rf"kiro-worker[-/](\{{|{'|'.join(ENVIRONMENTS)}\b)")


def literals(source: str) -> Iterator[str]:
    """The string literals of a module, with ``{}`` for each replacement field of an f-string.

    Docstrings do not count, and neither does help text with a line ``Examples:``. Both show names to people.
    """
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Expr(value=ast.Constant()):
                continue
            case ast.JoinedStr(values=parts):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
            case ast.Constant(value=str(text)) if "Examples:" not in text.splitlines():
                yield text
        waiting.extend(ast.iter_child_nodes(node))


def names_spelled_out(source: str) -> list[str]:
    return [text for text in literals(source) if ENVIRONMENT_NAME.search(text)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_module_spells_no_name_itself(path: Path) -> None:
    assert names_spelled_out(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('TABLE = "kiro-worker-test-locks"', ["kiro-worker-test-locks"]),
        ('table = f"kiro-worker-{environment}-locks"', ["kiro-worker-{}-locks"]),
        ('parameter = f"/kiro-worker/{environment}/x"', ["/kiro-worker/{}/x"]),
        ('"""``kiro-worker-test-locks``"""', []),
        ('HELP = "Examples:\\n  kiro-worker redrive kiro-worker-test"', []),
        ('REFERENCE = "refs/kiro-worker/checkpoint/"', []),
    ],
)
def test_spelled_names_are_found(source: str, found: list[str]) -> None:
    assert names_spelled_out(source) == found


def test_names_are_those_that_operators_type() -> None:
    names = Names("test")
    assert names.state_machine == names.build_project == names.schedule == "kiro-worker-test"
    assert names.clean_up_state_machine == "kiro-worker-test-clean-up"
    assert names.function("fetch_work_item") == "kiro-worker-test-fetch-work-item"
    assert names.function_log_group("fetch_work_item") == "/aws/lambda/kiro-worker-test-fetch-work-item"
    assert names.build_log_group == "/aws/codebuild/kiro-worker-test"
    assert names.executions_log_group == "/aws/vendedlogs/states/kiro-worker-test"
    assert names.configuration_parameter == "/kiro-worker/test/github-project-config"
    assert names.github_token_secret == "kiro-worker-test-github-token"
    assert names.git_credentials_secret == "kiro-worker-test-git-credentials"
    assert names.kiro_api_key_secret == "kiro-worker-test-kiro-api-key"
    assert names.locks_table == "kiro-worker-test-locks"
    assert names.records_table == "kiro-worker-test-records"
    assert names.core_stack == "KiroWorkerCore-test"
    assert names.workflow_stack == "KiroWorkerWorkflow-test"
    bucket = names.artifacts_bucket("123456789012", "eu-west-1")
    assert bucket == "kiro-worker-test-artifacts-123456789012-eu-west-1"


@pytest.mark.parametrize(
    ("machine", "environment"),
    [
        ("kiro-worker-test", "test"),
        ("kiro-worker-production", "production"),
        ("kiro-worker-staging-clean-up", "staging"),
        ("kiro-worker-other", "<env>"),
        ("my-kiro-worker-test", "<env>"),
    ],
)
def test_execution_tells_environment(machine: str, environment: str) -> None:
    execution = f"arn:aws:states:us-east-1:123456789012:execution:{machine}:one"
    assert with_environment(ANY_NAMES.locks_table, execution) == f"kiro-worker-{environment}-locks"
