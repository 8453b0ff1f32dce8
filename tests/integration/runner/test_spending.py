"""What a build records about its cost, which the daily budgets count."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from kiro_worker.records.days import day_key, spending_attribute, spent
from tests.support.worker import BRANCH, LOCK_KEY, RECORDS, TABLE, Worker, writable_file

TASKS = ".kiro/specs/feature-discounts/tasks.md"
THREE_TASKS = "- [ ] 1. One\n- [ ] 2. Two\n- [ ] 3. Three\n"
WORK = """
import pathlib, re, sys
prompt = sys.stdin.read()
number = re.search(r"^- (\\d)\\. ", prompt, re.M)[1]
"""
CHANGE = "pathlib.Path(f'task_{number}').write_text('done')\n"
REPORT_COST = "print(' ▸ Credits: 0.37 • Time: 3s')\n"
LOOK = """
import json, urllib.request
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), {
    "X-Amz-Target": "DynamoDB_20120810.Scan", "Content-Type": "application/x-amz-json-1.0",
    "Authorization": "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/dynamodb/aws4_request, Signature=0",
})
with urllib.request.urlopen(request, timeout=30) as answer, open(sys.argv[3], "a") as log:
    items = json.load(answer)["Items"]
    log.write(json.dumps([item for item in items if item["recordKey"]["S"].startswith("day#")]) + "\\n")
"""
"""The agent notes the records of the day that a turn begins with."""


def plan(worker: Worker) -> str:
    return worker.repository.git.commit(BRANCH, {TASKS: THREE_TASKS}, "Plan")


def days(worker: Worker) -> dict[str, dict[str, Any]]:
    """The records of days, by what follows the date in their keys; a run over midnight counts for its first day."""
    items = worker.client("dynamodb").scan(TableName=RECORDS)["Items"]
    found = [item for item in items if item["recordKey"]["S"].startswith("day#")]
    return {item["recordKey"]["S"][len("day#2026-01-02") :]: item for item in found}


def test_both_records_hold_cost_of_build(worker: Worker) -> None:
    worker.configure(worker.agent(WORK + CHANGE + REPORT_COST))

    finished = worker.run(COMMIT_SHA=plan(worker))

    assert finished.outcome == "Succeeded", finished.log
    found = days(worker)
    assert found.keys() == {"", "#acme/shop"}
    for item in found.values():
        assert item[spending_attribute("kiro-worker-test:5f2c")] == {"N": "1.11"}
        assert spent(item) == finished.result["agent"]["credits"] == 1.11


def test_cost_is_recorded_before_next_turn(worker: Worker, tmp_path: Path) -> None:
    """An idle turn costs, too, although there is nothing to keep after it."""
    seen = writable_file(tmp_path / "seen")
    act = "if number == '2':\n    " + CHANGE
    worker.configure(
        worker.agent(
            WORK + LOOK + act + REPORT_COST,
            *(worker.aws["endpoint_url"], json.dumps({"TableName": RECORDS}), str(seen)),
        )
    )

    finished = worker.run(COMMIT_SHA=plan(worker))

    assert finished.outcome == "Incomplete", finished.log
    at_start = [[spent(item) for item in json.loads(line)] for line in seen.read_text().splitlines()]
    assert at_start == [[], [0.37, 0.37], [0.74, 0.74]]
    assert [spent(item) for item in days(worker).values()] == [1.11, 1.11]


def test_redrives_build_adds_up(worker: Worker) -> None:
    agent = worker.agent(WORK + CHANGE + REPORT_COST)
    commit = plan(worker)
    worker.configure({**agent, "maxCredits": 0.7})
    assert worker.run(COMMIT_SHA=commit).outcome == "BudgetExhausted"
    assert [spent(item) for item in days(worker).values()] == [0.74, 0.74]
    worker.configure(agent)

    finished = worker.run(COMMIT_SHA=commit, CODEBUILD_BUILD_ID="kiro-worker-test:77aa")

    assert finished.outcome == "Succeeded", finished.log
    assert [spent(item) for item in days(worker).values()] == [1.11, 1.11]
    assert worker.run(COMMIT_SHA=commit).outcome == "Succeeded"
    assert [spent(item) for item in days(worker).values()] == [1.11, 1.11], "nothing was run again"


@pytest.mark.exhaustive
def test_build_by_hand_counts(worker: Worker, by_hand: dict[str, str]) -> None:
    worker.configure(worker.agent(WORK + CHANGE + REPORT_COST))
    plan(worker)
    worker.client("dynamodb").delete_item(TableName=TABLE, Key={"lockKey": {"S": LOCK_KEY}})

    finished = worker.run(**by_hand)

    assert finished.outcome == "Succeeded", finished.log
    assert [spent(item) for item in days(worker).values()] == [1.11, 1.11]


def test_full_record_of_day_fails_no_build(worker: Worker) -> None:
    """The record is as large as DynamoDB allows."""
    for midnight in (0, 86_400):
        worker.client("dynamodb").put_item(
            TableName=RECORDS,
            Item={"recordKey": {"S": day_key(time.time() + midnight)}, "padding": {"S": "x" * 404_950}},
        )
    worker.configure(worker.agent(WORK + CHANGE + REPORT_COST))

    finished = worker.run(COMMIT_SHA=plan(worker))

    assert finished.outcome == "Succeeded", finished.log
    assert finished.log.count("the daily budgets miss what this build spent, which cannot be recorded") == 4
    assert worker.head() == finished.exports["RESULT_COMMIT"]
