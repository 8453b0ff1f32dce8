from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.build.outcome import Record, Stopped
from kiro_worker.build.report import LONGEST_VALUE, Place, exported_variables, shell_exports
from kiro_worker.models import Outcome

HOSTILE = "'; touch owned; echo '$(touch owned)`touch owned`\n\x1b[31m\u2028export OUTCOME=Succeeded"


def test_a_shell_that_sources_the_values_executes_none_of_them(tmp_path: Path) -> None:
    record = Record(Outcome.AGENT_FAILED, reason=HOSTILE, tests=HOSTILE)
    (tmp_path / "result.env").write_text(shell_exports(exported_variables(record)))

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
def test_every_value_is_one_line_of_a_bounded_length(reason: str, remedy: str, details: str) -> None:
    record = Record(Outcome.TESTS_FAILED, reason, remedy, details, tests=reason)

    lines = shell_exports(exported_variables(record)).splitlines()

    assert len(lines) == 9
    assert all(line.startswith("export ") for line in lines)
    assert all(len(value) <= LONGEST_VALUE for value in exported_variables(record).values())


def test_the_end_of_what_was_said_gives_way_to_the_reason_and_the_remedy() -> None:
    record = Record()
    record.stopped(Stopped(Outcome.TESTS_FAILED, "it failed", "do this", "x" * 10_000 + " the last word"))

    reason = exported_variables(record)["OUTCOME_REASON"]

    assert reason.startswith("it failed. Last said: xxx")
    assert reason.endswith(" the last word To mend it: do this")
    assert len(reason) <= LONGEST_VALUE


def test_a_secret_at_the_cut_is_redacted_before_the_cut() -> None:
    record = Record(Outcome.AGENT_FAILED, reason="r" * (LONGEST_VALUE - 5) + "secret-value")

    reason = exported_variables(record, lambda text: text.replace("secret-value", "***"))["OUTCOME_REASON"]

    assert "secr" not in reason


def test_what_is_not_known_is_empty() -> None:
    assert exported_variables(Record()) == {
        "OUTCOME": "WorkerFailed",
        **dict.fromkeys(
            (
                "OUTCOME_REASON",
                "RESULT_COMMIT",
                "RESULT_FENCE",
                "TASKS_DONE",
                "TASKS_OPEN",
                "TESTS_SUMMARY",
                "FILES_CHANGED",
                "ARTIFACTS",
            ),
            "",
        ),
    }


def test_no_task_done_is_told_as_zero() -> None:
    values = exported_variables(Record(tasks_done=0, tasks_open=3))

    assert (values["TASKS_DONE"], values["TASKS_OPEN"]) == ("0", "3")


def test_artifacts_of_a_build_that_never_learnt_its_job_go_under_its_own_name() -> None:
    place = Place.of({"CODEBUILD_BUILD_ID": "kiro-worker-test:../5f2c", "ARTIFACTS_BUCKET_NAME": "b"}, None)

    assert place.url == "s3://b/runs/..-5f2c/1/"
