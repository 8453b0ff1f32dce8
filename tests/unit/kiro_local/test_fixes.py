from __future__ import annotations

import json
from pathlib import Path

import pytest

from kiro_local.cli.fixes import fix_on_this_machine
from kiro_worker.executions.history import Run

CONFIG = Path("my-config.json")
AGAIN = ", then start kiro-worker local up again"
KEY = "kiro-worker-test-kiro-api-key"


def failed(error: str, message: str) -> Run:
    cause = json.dumps({"errorMessage": f"{message}\nHow to fix: aws …", "errorType": error})
    return Run("arn", "FAILED", (), 0, 0, 0, {}, error, cause)


@pytest.mark.parametrize(
    ("error", "message", "config", "token_variable", "expected"),
    [
        ("StatusNotFound", "the board lacks 'Redy'", CONFIG, None, f"edit my-config.json{AGAIN}"),
        ("ProjectNotFound", "acme has no project 7", CONFIG, "TOKEN", f"edit my-config.json{AGAIN}"),
        ("ConfigurationInvalid", "…", None, None, f"name your configuration with --config FILE{AGAIN}"),
        ("SecretPlaceholder", f"the secret {KEY} still …", CONFIG, "TOKEN", f"export KIRO_API_KEY=…{AGAIN}"),
        ("WorkerFailed", f"SecretPlaceholder: the secret {KEY} …", None, None, f"export KIRO_API_KEY=…{AGAIN}"),
        ("GitHubTokenInvalid", "401", CONFIG, "TOKEN", f"correct the token: export TOKEN=…{AGAIN}"),
        ("WorkerFailed", "SecretMalformed: the secret x", CONFIG, "TOKEN", f"correct the token: export TOKEN=…{AGAIN}"),
        (
            "AgentNotPinned",
            "no pin",
            CONFIG,
            "TOKEN",
            f"install kiro-cli on this machine, or name another agent with --agent-command{AGAIN}",
        ),
        (
            "AgentUnavailable",
            "kiro-cli is not installed",
            None,
            None,
            f"install kiro-cli on this machine, or name another agent with --agent-command{AGAIN}",
        ),
        ("AgentUnavailable", "the Kiro API key is not accepted", None, None, f"export KIRO_API_KEY=…{AGAIN}"),
        ("AgentUnavailable", "Kiro cannot be reached from the build", None, None, ""),
        ("TestsFailed", "StatusOfTests: 1 failed", CONFIG, "TOKEN", ""),
        ("GitHubUnavailable", "502", CONFIG, "TOKEN", ""),
        ("BuildProjectMissing", "gone", CONFIG, "TOKEN", ""),
    ],
)
def test_fix_names_what_the_user_gave(
    error: str, message: str, config: Path | None, token_variable: str | None, expected: str
) -> None:
    assert fix_on_this_machine(failed(error, message), config, token_variable) == expected
