"""The pipeline from the request to the push, run as CodeBuild runs it."""

from __future__ import annotations

from tests.support.worker import BRANCH, EXECUTION, WORK, Worker

TASKS = ".kiro/specs/feature-discounts/tasks.md"


def test_branch_gets_one_commit_per_task(worker: Worker) -> None:
    finished = worker.run()

    assert finished.exit_code == 0, finished.log
    assert finished.exports["OUTCOME"] == "Succeeded"
    assert finished.exports["OUTCOME_REASON"] == ""
    assert finished.exports["RESULT_COMMIT"] == worker.head() != worker.commit
    assert finished.exports["RESULT_FENCE"] == "1700000000000"
    assert (finished.exports["TASKS_DONE"], finished.exports["TASKS_OPEN"]) == ("7", "0")
    assert finished.exports["TESTS_SUMMARY"].startswith("Ran 7 tests in")
    assert finished.exports["FILES_CHANGED"] == "5"
    assert finished.exports["ARTIFACTS"] == "s3://kiro-worker-test-artifacts/runs/run-1/7/"
    assert "def apply_discount" in worker.file("shop/discounts.py")
    show = worker.repository.git.run(
        "log", "--reverse", "--format=%an|%s|%(trailers:valueonly,separator=%x2C)", f"{worker.commit}..{BRANCH}"
    )
    author, titles, trailers = zip(*(line.split("|") for line in show.decode().splitlines()), strict=True)
    assert set(author) == {"Kiro CodeBuild Worker"}
    assert [title.split()[1] for title in titles] == ["1.1", "1.2", "1.3", "2.1", "2.2"], "one commit per task"
    assert trailers[0].startswith("run-1,1.1 Add `apply_discount`")
    assert worker.checkpoint() == "", "the branch carries everything now"
    assert worker.lock()["owner"] == EXECUTION, "the state machine releases it, not the build"


def test_second_attempt_accepts_first_push(worker: Worker) -> None:
    first = worker.run()
    worker.configure({"command": ["this-agent-must-not-run"]})

    second = worker.run(CODEBUILD_BUILD_NUMBER="8")

    assert (second.exit_code, second.outcome) == (0, "Succeeded"), second.log
    assert "has already pushed" in second.exports["OUTCOME_REASON"]
    assert second.exports["RESULT_COMMIT"] == first.exports["RESULT_COMMIT"] == worker.head()
    assert second.exports["TASKS_DONE"] == "7"


def test_forged_trailer_has_no_effect(worker: Worker) -> None:
    """Everybody who has read a comment of the worker knows the execution, and can push."""
    agent = 'import pathlib\npathlib.Path("asked").write_text("")\nraise SystemExit(3)'
    worker.configure(worker.agent(agent))
    ticked = worker.file(TASKS).replace("[ ]", "[x]")
    message = f"Implement 2.2\n\nKiro-Worker-Execution: {EXECUTION}\nKiro-Worker-Task: 2.2 Done\n"
    forged = worker.repository.git.commit(BRANCH, {TASKS: ticked, "evil.py": "EVIL = 1\n"}, message)

    above = worker.run()
    pinned = worker.run(COMMIT_SHA=forged)

    assert above.outcome == "PushRejected", above.log
    assert "moved from" in above.exports["OUTCOME_REASON"]
    assert pinned.outcome == "NoChanges", pinned.log
    assert (worker.head(), worker.checkpoint()) == (forged, "")


def test_redrive_accepts_own_push_below_other_pushes(worker: Worker) -> None:
    first = worker.run()
    worker.configure({"command": ["this-agent-must-not-run"]})
    top = worker.repository.git.commit(BRANCH, {"NEWS.md": "x\n"}, "By a person")

    for pinned in (worker.commit, top):
        again = worker.run(COMMIT_SHA=pinned)
        assert (again.exit_code, again.outcome) == (0, "Succeeded"), again.log
        assert "has already pushed" in again.exports["OUTCOME_REASON"]
        assert again.exports["RESULT_COMMIT"] == first.exports["RESULT_COMMIT"]
        assert again.exports["TASKS_OPEN"] == "0"

    opened = worker.file(TASKS).replace("[x] 2.2", "[ ] 2.2")
    again = worker.run(COMMIT_SHA=worker.repository.git.commit(BRANCH, {TASKS: opened}, "Once more"))
    assert again.outcome == "AgentUnavailable", "the open task is new work"
    assert worker.checkpoint() == "", "no task was done"


def test_other_executions_push_is_ignored(worker: Worker) -> None:
    worker.run()

    other = worker.run(EXECUTION_ARN=EXECUTION.replace("run-1", "run-2"), LOCK_FENCE="1700000000000")

    assert other.outcome == "LockLost"
    worker.start_execution(EXECUTION.replace("run-1", "run-2"))
    worker.hold_lock(EXECUTION.replace("run-1", "run-2"))
    other = worker.run(EXECUTION_ARN=EXECUTION.replace("run-1", "run-2"))
    assert other.outcome == "PushRejected"
    assert "moved from" in other.exports["OUTCOME_REASON"]
    assert "agent was not started" in other.exports["OUTCOME_REASON"]


def test_failing_tests_leave_branch_alone(worker: Worker) -> None:
    worker.configure(
        worker.agent(
            WORK + 'pathlib.Path("tests/test_no.py").write_text("import unittest\\n'
            "class T(unittest.TestCase):\\n def test(self): self.fail('not yet')\\n\")"
        )
    )

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "TestsFailed")
    assert "exit code 1: 1 failed, 2 passed" in finished.exports["OUTCOME_REASON"]
    assert "not yet" in finished.result["details"]
    assert finished.exports["TASKS_DONE"] == "7"
    assert finished.exports["TESTS_SUMMARY"] == "1 failed, 2 passed (exit code 1)"
    assert finished.result["tests"]["passed"] is False
    assert "+NOTES = 1" in worker.artifact("changes.patch"), "the artifacts of a failed run contain its work"
    assert worker.head() == worker.commit


def test_exit_code_alone_is_called_so(worker: Worker) -> None:
    worker.configure(worker.agent(WORK, mode="all"), test=["true"])

    finished = worker.run()

    assert (finished.outcome, finished.exports["TESTS_SUMMARY"]) == ("Succeeded", "passed (exit code only)")


def test_configured_test_command_is_used(worker: Worker) -> None:
    worker.configure(test="python3 -c 'raise SystemExit(5)'")

    finished = worker.run()

    assert finished.outcome == "TestsFailed"
    assert "exit code 5" in finished.exports["OUTCOME_REASON"]
