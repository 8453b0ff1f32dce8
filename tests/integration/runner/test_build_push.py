"""The push to the branch: lost answers, concurrent pushes, refusals."""

from __future__ import annotations

from tests.support.worker import BRANCH, WORK, Worker


def test_push_with_lost_answer_succeeds(worker: Worker) -> None:
    worker.github.faults.add("lost_answer", "git-receive-pack")

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (0, "Succeeded"), finished.log
    assert worker.head() == finished.exports["RESULT_COMMIT"]


def move_the_branch(worker: Worker, files: dict[str, str]) -> None:
    """Let a person push while the agent works, just before the worker's first push arrives."""

    def push_first(operation: str) -> None:
        if operation == "git-receive-pack" and worker.head() == worker.commit:
            worker.repository.git.commit(BRANCH, files, "by a person")

    worker.github.on_request = push_first


def test_work_is_rebased_onto_concurrent_push(worker: Worker) -> None:
    worker.configure(worker.agent(WORK, mode="all"))
    move_the_branch(worker, {"theirs.txt": "1\n"})

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (0, "Succeeded"), finished.log
    log = worker.repository.git.run("log", "-2", "--format=%s", BRANCH).decode().splitlines()
    assert log == ["Implement feature-discounts", "by a person"]
    assert finished.log.count("[tests] Ran 2 tests") == 2
    assert worker.checkpoint() == ""


def test_second_gate_gives_the_verdict(worker: Worker) -> None:
    tests = "test ! -e theirs.txt && echo 'Ran 2 tests in 0.001s'"
    worker.configure(worker.agent(WORK, mode="all"), testCommand=["sh", "-c", tests])
    move_the_branch(worker, {"theirs.txt": "1\n"})

    finished = worker.run()

    assert finished.outcome == "TestsFailed", finished.log
    assert finished.exports["TESTS_SUMMARY"] == "failed (exit code 1)"
    verdict = finished.result["tests"]
    assert (verdict["summary"], verdict["exitCode"], verdict["passed"]) == ("", 1, False)


def test_conflicting_work_stays_on_checkpoint(worker: Worker) -> None:
    worker.configure(worker.agent(WORK, mode="all"))
    move_the_branch(worker, {"shop/notes.py": "THEIRS = 1\n"})

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "PushRejected"), finished.log
    assert "does not apply cleanly" in finished.exports["OUTCOME_REASON"]
    assert worker.repository.git.run("log", "-1", "--format=%s", BRANCH).decode().strip() == "by a person"
    assert worker.file("shop/notes.py", worker.checkpoint()) == "NOTES = 1\n"


def test_refused_push_shows_servers_reason(worker: Worker) -> None:
    hook = worker.repository.git.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'this branch is protected' >&2\nexit 1\n")
    hook.chmod(0o755)

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "PushRejected")
    assert "remote rejected" in finished.exports["OUTCOME_REASON"]
    assert "hook declined" in finished.exports["OUTCOME_REASON"]
    assert "this branch is protected" in finished.result["details"]
    assert worker.head() == worker.commit
