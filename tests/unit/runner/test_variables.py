from __future__ import annotations

import json
import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.errors import BuildStopped
from kiro_worker.models import BuildResult
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.progress import BuildProgress, Phase
from kiro_worker.runner.report.variables import LONGEST_LIST, LONGEST_VALUE, exported_variables, shell_exports

HOSTILE = "'; touch owned; echo '$(touch owned)`touch owned`\n\x1b[31m\u2028export OUTCOME=Succeeded"


def test_sourced_values_execute_nothing(tmp_path: Path) -> None:
    progress = BuildProgress(Outcome.AGENT_FAILED, reason=HOSTILE, tests=HOSTILE)
    (tmp_path / "result.env").write_text(shell_exports(exported_variables(progress)))

    done = subprocess.run(
        ["sh", "-c", '. ./result.env; printf "%s|%s" "$OUTCOME" "$OUTCOME_REASON"'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("AgentFailed|'; touch owned; echo '$(touch owned)`touch owned` [31m export")
    assert not (tmp_path / "owned").exists()


@given(st.text(), st.text(), st.text())
def test_every_value_is_one_bounded_line(reason: str, remedy: str, details: str) -> None:
    progress = BuildProgress(
        Outcome.TESTS_FAILED, reason, remedy, details, tests=reason, open_tasks=(reason, remedy) * 20
    )

    lines = shell_exports(exported_variables(progress)).splitlines()

    values = exported_variables(progress)
    assert len(lines) == len(values)
    assert all(line.startswith("export ") for line in lines)
    lists = ("PHASES", "TAIL", "OPEN_TASKS")
    assert all(len(value) <= (LONGEST_LIST if name in lists else LONGEST_VALUE) for name, value in values.items())
    assert not values["TAIL"] or details.splitlines()[-1:] or json.loads(values["TAIL"])


def test_remedy_is_kept_when_reason_is_cut() -> None:
    progress = BuildProgress()
    progress.stopped(
        BuildStopped(Outcome.TESTS_FAILED, "it failed" * 200, "do this", "x" * 10_000 + "\nFAILED a\nthe last word")
    )

    values = exported_variables(progress)

    assert values["OUTCOME_REASON"].startswith("it failed")
    assert values["OUTCOME_REASON"].endswith(". How to fix: do this")
    assert json.loads(values["TAIL"]) == "FAILED a\nthe last word"


def test_tail_keeps_end_of_long_line() -> None:
    tail = exported_variables(BuildProgress(details="é" * 5000 + "!"))["TAIL"]

    assert len(tail) <= LONGEST_LIST
    assert json.loads(tail).endswith("é!")


def test_phases_are_names_and_seconds() -> None:
    progress = BuildProgress(phases=[Phase("check out", 0, 1.25), Phase("a;b:c\n", 2, 3)])

    assert exported_variables(progress)["PHASES"] == "check out:1.2;a b c:3.0"
    assert len(exported_variables(BuildProgress(phases=[Phase("x" * 90, 0, 1)] * 99))["PHASES"]) <= LONGEST_LIST


def test_secret_is_redacted_before_cut() -> None:
    progress = BuildProgress(Outcome.AGENT_FAILED, reason="r" * (LONGEST_VALUE - 5) + "secret-value")

    reason = exported_variables(progress, lambda text: text.replace("secret-value", "***"))["OUTCOME_REASON"]

    assert "secr" not in reason


def test_unknown_values_are_empty() -> None:
    assert exported_variables(BuildProgress()) == {
        "OUTCOME": "WorkerFailed",
        **dict.fromkeys(
            (
                "OUTCOME_REASON",
                "OUTCOME_OWNER",
                "OUTCOME_ERROR",
                "RETRY_AFTER",
                "RESULT_COMMIT",
                "RESULT_FENCE",
                "TASKS_DONE",
                "TASKS_DONE_BEFORE",
                "TASKS_OPEN",
                "TASKS_OPTIONAL",
                "OPEN_TASKS",
                "TESTS_SUMMARY",
                "FILES_CHANGED",
                "ARTIFACTS",
                "COVERAGE",
                "CREDITS",
                "MINUTES",
                "CHECKPOINT",
                "PHASES",
                "TAIL",
            ),
            "",
        ),
    }


def test_zero_finished_tasks_are_exported() -> None:
    values = exported_variables(BuildProgress(tasks_done=0, tasks_open=3))

    assert (values["TASKS_DONE"], values["TASKS_OPEN"]) == ("0", "3")


def test_open_tasks_are_shown_by_name() -> None:
    names = ("1. Code", "2. Line\nend", f"3. {'x' * 2_000}", *(f"{number}. More" for number in range(4, 99)))

    shown = json.loads(exported_variables(BuildProgress(open_tasks=names))["OPEN_TASKS"]).split("\n")

    assert shown[:2] == ["1. Code", "2. Line end"]
    assert (len(shown[2]), shown[2][-1]) == (100, "…")
    assert shown[3:] == [f"{number}. More" for number in range(4, 21)]


def test_name_is_redacted_before_cut() -> None:
    progress = BuildProgress(open_tasks=("n" * 95 + "secret-value",))

    shown = exported_variables(progress, lambda text: text.replace("secret-value", "***"))["OPEN_TASKS"]

    assert "secr" not in shown


def test_verdict_of_failed_gate_is_exported() -> None:
    progress = BuildProgress(Outcome.TESTS_FAILED, tests="exit code 5")

    assert exported_variables(progress)["TESTS_SUMMARY"] == "exit code 5"


def test_ignored_reports_are_exported() -> None:
    notes = {"tests": ["report ignored: a"], "coverage": ["report ignored: b"]}

    values = exported_variables(BuildProgress(tests="Ran 2 tests", gate={"checks": [{"notes": notes}]}))

    assert values["TESTS_SUMMARY"] == "Ran 2 tests; report ignored: a"
    assert values["COVERAGE"] == "report ignored: b"


def test_reset_of_the_agents_limit_is_exported() -> None:
    progress = BuildProgress()
    progress.stopped(BuildStopped(Outcome.AGENT_UNAVAILABLE, "no plan", retry_after=1_800_000_000))

    exported = exported_variables(progress)

    assert exported["RETRY_AFTER"] == "1800000000"
    variables = [{"Name": name, "Value": value} for name, value in exported.items()]
    assert BuildResult.from_document({"variables": variables}).retry_after == 1_800_000_000
    for hostile in ("-1", "soon", "1e9", ""):
        document = {"variables": [{"Name": "RETRY_AFTER", "Value": hostile}]}
        assert BuildResult.from_document(document).retry_after == 0
