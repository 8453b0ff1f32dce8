from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

REJECTED = ("Gift cards", "Returns within 30 days", "Translations by a volunteer")


def kiro_worker(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kiro_worker.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def demo(*arguments: str) -> dict[str, Any]:
    finished = kiro_worker("demo", "--json", *arguments)
    assert finished.returncode == 0, finished.stderr
    result: dict[str, Any] = json.loads(finished.stdout)
    return result


def check_board(result: dict[str, Any]) -> None:
    cards = {title: card["after"] for title, card in result["cards"].items()}
    assert cards == {
        "Discounts on whole orders": "In Review",
        **dict.fromkeys(REJECTED, "Blocked"),
        "Loyalty points": "Todo",
    }
    reasons = {title: " ".join(card["reasons"]) for title, card in result["cards"].items() if card["reasons"]}
    assert set(reasons) == set(REJECTED)
    assert "does not exist" in reasons["Gift cards"]
    assert "design.md is missing" in reasons["Returns within 30 days"]
    assert "comes from a fork" in reasons["Translations by a volunteer"]
    moved = {name for name, head in result["branches"].items() if head["before"] != head["after"]}
    assert moved == {"feature/discounts"}
    assert result["lock"] == {"held": False}


def test_demo_implements_one_card_and_rejects_three() -> None:
    result = demo()
    check_board(result)
    building, rejecting, idle = result["runs"]
    assert [run["status"] for run in result["runs"]] == ["SUCCEEDED"] * 3
    assert (building["outcome"], building["states"][-1]) == ("Succeeded", "Done")
    assert building["stateTransitions"] <= 12
    assert (building["graphqlRequests"], building["graphqlPoints"]) == (9, 9)
    assert rejecting["states"].count("RejectWorkItem") == 3
    assert (idle["stateTransitions"], idle["lambdaInvocations"], idle["graphqlPoints"]) == (3, 1, 1)


def test_failed_build_succeeds_after_redrive() -> None:
    result = demo("--fail-build")
    check_board(result)
    rejecting, run, last = result["runs"]
    assert rejecting["states"].count("RejectWorkItem") == 3, "the queue goes on while the failed card waits"
    assert (last["stateTransitions"], last["graphqlPoints"]) == (3, 1)
    assert (run["status"], run["redrives"]) == ("SUCCEEDED", 1)
    assert run["states"].count("RunBuild") == 2
    assert run["states"].index("FailRun") < run["states"].index("ResumePoint")
    first, second = run["fences"]
    assert second > first


def test_redrive_after_fault_repeats_no_build() -> None:
    result = demo("--fault", "MarkInReview:killed")
    check_board(result)
    run = result["runs"][0]
    assert (run["status"], run["redrives"]) == ("SUCCEEDED", 1)
    assert run["states"].count("RunBuild") == 1
    assert run["states"].count("MarkInReview") == 2


@pytest.mark.parametrize("fault", ["MarkInReview", "Nowhere:killed", "MarkInReview:nonsense"])
def test_unknown_fault_is_named_without_traceback(fault: str) -> None:
    finished = kiro_worker("demo", "--fault", fault)
    assert finished.returncode == 2
    assert fault in finished.stderr
    assert "Traceback" not in finished.stderr


def test_text_output_shows_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    finished = kiro_worker("demo")
    assert finished.returncode == 0, finished.stderr
    for part in (
        "scripted stand-in",
        "MarkInReview",
        "+def apply_discount",
        "Ran 7 tests",
        "✅ **Implemented**",
        "the branch feature/gift-cards does not exist",
        "comes from a fork",
        "The next run, which that run started",
        "The lock is free",
        "3 state transitions, 1 Lambda invocation, 1 GraphQL request for 1 point",
    ):
        assert part in finished.stdout, part
    assert finished.stderr == ""


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["demo", "--help"], ["local", "--help"], ["local", "up", "--help"]]
)
def test_help_is_shown(arguments: list[str]) -> None:
    finished = kiro_worker(*arguments)
    assert finished.returncode in (0, 2)
    assert "Usage" in finished.stdout + finished.stderr


def test_help_does_not_import_moto() -> None:
    program = "import sys; import kiro_worker.cli.app; sys.exit('moto' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_unknown_option_is_named_without_traceback() -> None:
    finished = kiro_worker("demo", "--jsn")
    assert finished.returncode == 2
    assert "--jsn" in finished.stderr
    assert "Traceback" not in finished.stderr
