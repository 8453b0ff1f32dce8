"""The lock of a build, whether the state machine or a person started it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.worker import BRANCH, BUILD, EXECUTION, LOCK_KEY, TABLE, WORK, Worker

STEAL_THE_LOCK = """
import sys, time, boto3
boto3.client("dynamodb", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="a",
             aws_secret_access_key="b").put_item(TableName="kiro-worker-test-locks", Item={
    "lockKey": {"S": "work-item-processor-lock"}, "owner": {"S": "another-execution"},
    "fence": {"N": "1800000000000"}, "expiresAt": {"N": str(int(time.time()) + 3600)}})
"""


def test_lock_lost_before_push_prevents_it(worker: Worker) -> None:
    worker.configure(worker.agent(STEAL_THE_LOCK + WORK, worker.aws["endpoint_url"]))

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "LockLost"), finished.log
    assert "another-execution" in finished.exports["OUTCOME_REASON"]
    assert worker.head() == worker.commit
    assert worker.lock()["owner"] == "another-execution"


def test_lock_lost_in_checkout_prevents_agent(worker: Worker, tmp_path: Path) -> None:
    started = tmp_path / "started"
    worker.configure(worker.agent(f"import pathlib; pathlib.Path({str(started)!r}).touch()\n" + WORK))

    def steal(operation: str) -> None:
        if operation == "git-upload-pack":
            worker.hold_lock("another-execution", 1_800_000_000_000)

    worker.github.on_request = steal

    finished = worker.run()

    assert finished.outcome == "LockLost", finished.log
    assert not started.exists()
    assert worker.checkpoint() == ""


def test_lock_lost_in_gate_prevents_push(worker: Worker) -> None:
    script = worker.folder / "steal.py"
    script.write_text(STEAL_THE_LOCK + 'print("Ran 1 test in 0s")\n')
    worker.configure(worker.agent(WORK, mode="all"), test=[sys.executable, str(script), worker.aws["endpoint_url"]])

    finished = worker.run()

    assert finished.outcome == "LockLost", finished.log
    assert finished.exports["TESTS_SUMMARY"] == "Ran 1 test in 0s"
    assert worker.head() == worker.commit


def test_held_lock_prevents_fetch(worker: Worker) -> None:
    worker.hold_lock("another-execution", 1_800_000_000_000)

    finished = worker.run()

    assert finished.outcome == "LockLost"
    assert not worker.github.requests.git()


def test_missing_lock_is_acquired(worker: Worker) -> None:
    worker.client("dynamodb").delete_item(TableName=TABLE, Key={"lockKey": {"S": LOCK_KEY}})

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert int(finished.exports["RESULT_FENCE"]) > 1_700_000_000_000
    assert worker.lock()["fence"] == finished.exports["RESULT_FENCE"]
    assert worker.lock()["buildId"] == "kiro-worker-test:5f2c"


def test_ended_executions_build_does_not_start(worker: Worker) -> None:
    worker.client("stepfunctions").stop_execution(executionArn=EXECUTION)

    finished = worker.run()

    assert finished.outcome == "LockLost"
    assert "has ended" in finished.log
    assert not worker.github.requests.git()


def test_build_by_hand_uses_and_frees_lock(worker: Worker, by_hand: dict[str, str]) -> None:
    worker.client("dynamodb").delete_item(TableName=TABLE, Key={"lockKey": {"S": LOCK_KEY}})

    finished = worker.run(**by_hand)

    assert finished.outcome == "Succeeded", finished.log
    assert worker.head() == finished.exports["RESULT_COMMIT"]
    assert finished.result["job"]["owner"] == BUILD
    assert "owner" not in worker.lock()
    assert worker.lock()["branch"] == BRANCH
    assert finished.exports["ARTIFACTS"].endswith("/runs/5f2c/7/")


def test_build_by_hand_respects_held_lock(worker: Worker, by_hand: dict[str, str]) -> None:
    worker.hold_lock("another-execution")

    finished = worker.run(**by_hand)

    assert finished.outcome == "LockLost"
    assert worker.lock()["owner"] == "another-execution"


def test_failed_build_by_hand_releases_lock(worker: Worker, by_hand: dict[str, str]) -> None:
    worker.client("dynamodb").delete_item(TableName=TABLE, Key={"lockKey": {"S": LOCK_KEY}})
    worker.configure(worker.agent("raise SystemExit(1)"))

    finished = worker.run("--branch", BRANCH, **(by_hand | {"BRANCH_NAME": ""}))

    assert finished.outcome == "AgentFailed", finished.log
    assert "owner" not in worker.lock()


def test_build_by_hand_reports_missing_branch(worker: Worker, by_hand: dict[str, str]) -> None:
    finished = worker.run(**(by_hand | {"BRANCH_NAME": "feature/none"}))

    assert finished.outcome == "WorkerFailed"
    assert "WorkItemInvalid: the branch feature/none does not exist" in finished.exports["OUTCOME_REASON"]
