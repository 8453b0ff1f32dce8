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


def check_the_board(result: dict[str, Any]) -> None:
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


def test_one_card_is_done_the_bad_ones_are_rejected_and_the_lock_is_free() -> None:
    result = demo()
    check_the_board(result)
    done, rejecting, nothing = result["runs"]
    assert [run["status"] for run in result["runs"]] == ["SUCCEEDED"] * 3
    assert (done["outcome"], done["states"][-1]) == ("Succeeded", "Done")
    assert done["stateTransitions"] <= 12
    assert rejecting["states"].count("RejectWorkItem") == 3
    assert (nothing["stateTransitions"], nothing["lambdaInvocations"], nothing["graphqlPoints"]) == (3, 1, 1)


def test_a_failed_build_is_redriven_to_success_under_the_same_arn_with_a_later_fence() -> None:
    result = demo("--fail-build")
    check_the_board(result)
    run = result["runs"][0]
    assert (run["status"], run["redrives"]) == ("SUCCEEDED", 1)
    assert run["states"].count("RunBuild") == 2
    assert run["states"].index("FailRun") < run["states"].index("ResumePoint")
    first, second = run["fences"]
    assert second > first


def test_a_fault_of_choice_is_told_and_a_redrive_repeats_no_build() -> None:
    result = demo("--fault", "MarkInReview:killed")
    check_the_board(result)
    run = result["runs"][0]
    assert (run["status"], run["redrives"]) == ("SUCCEEDED", 1)
    assert run["states"].count("RunBuild") == 1
    assert run["states"].count("MarkInReview") == 2


@pytest.mark.parametrize("fault", ["MarkInReview", "Nowhere:killed", "MarkInReview:nonsense"])
def test_a_fault_that_does_not_exist_is_named_without_a_traceback(fault: str) -> None:
    finished = kiro_worker("demo", "--fault", fault)
    assert finished.returncode == 2
    assert fault in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_story_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
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
        "The lock is free",
        "3 state transitions, 1 Lambda invocation, 1 GraphQL request for 1 point",
    ):
        assert part in finished.stdout, part
    assert finished.stderr == ""


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["demo", "--help"], ["local", "--help"], ["local", "up", "--help"]]
)
def test_help_is_there(arguments: list[str]) -> None:
    finished = kiro_worker(*arguments)
    assert finished.returncode in (0, 2)
    assert "Usage" in finished.stdout + finished.stderr


def test_help_and_a_wrong_command_line_do_not_wait_for_the_embedded_aws_to_be_imported() -> None:
    program = "import sys; import kiro_worker.cli.app; sys.exit('moto' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_unknown_option_is_named_without_a_traceback() -> None:
    finished = kiro_worker("demo", "--jsn")
    assert finished.returncode == 2
    assert "--jsn" in finished.stderr
    assert "Traceback" not in finished.stderr
