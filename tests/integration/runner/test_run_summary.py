"""What a build records for its comment: each task with its commit, and the agent's last words."""

from __future__ import annotations

import sys
from pathlib import Path

from kiro_worker.records.runs import RunRecord, note_push, read_summary
from kiro_worker.records.summaries import RunSummary
from kiro_worker.records.table import RecordsTable
from tests.support.acting_agent import ActingAgent
from tests.support.worker import AGENT_KEY, BRANCH, EXECUTION, RECORDS, Finished, Worker

TASKS = "- [x] 1. Plan\n- [ ] 2. Parse\n- [ ] 3. Print\n  - [ ] 3.1 Page\n- [ ] 4. Final checkpoint\n"
DONE = {
    "2 Parse": "Implement 2 Parse",
    "3 Print": "Implement 3.1 Page",
    "3.1 Page": "Implement 3.1 Page",
    "4 Final checkpoint": "Implement 3.1 Page",
}
"""The tasks that the run does, with the titles of the commits that complete them."""
SPEAK = r"""
import os, pathlib, re, sys
prompt = sys.stdin.read()
number = re.search(r"^- ([\d.]+?)\.? ", prompt, re.M)
number = number[1] if number else "fix"
pathlib.Path(f"task_{number}").write_text("done")
print("I begin.\n" * 50)
"""


def summary_of(worker: Worker) -> RunSummary:
    return read_summary(RecordsTable(worker.client("dynamodb"), RECORDS), EXECUTION)


def subjects(worker: Worker, summary: RunSummary) -> dict[str, str]:
    """The subject of each task's commit, which must be on the branch; empty if no commit is known."""
    git = worker.repository.git
    on_branch = git.run("rev-list", BRANCH).decode().split()
    assert {task.commit for task in summary.tasks} <= {"", *on_branch}
    shown = {
        task.name: git.run("log", "-1", "--format=%s", task.commit) if task.commit else b"" for task in summary.tasks
    }
    return {name: subject.decode().strip() for name, subject in shown.items()}


def require_success(finished: Finished) -> None:
    assert finished.outcome == "Succeeded", finished.log


def test_each_task_has_its_commit_on_branch(worker: Worker) -> None:
    agent = ActingAgent(worker)

    finished = agent.build(agent.plan(TASKS))

    require_success(finished)
    summary = summary_of(worker)
    # The agent changed a file for the check.
    assert subjects(worker, summary) == DONE | {"4 Final checkpoint": "Fix feature-discounts"}
    assert [turn.about for turn in summary.turns] == ["2 Parse", "3.1 Page", "4 Final checkpoint"]
    assert len(summary.tasks) == finished.result["tasks"]["doneByThisRun"]
    assert [task["commit"] for task in finished.result["summary"]["tasks"]] == [task.commit for task in summary.tasks]


def test_last_words_are_plain_short_and_without_secrets(worker: Worker) -> None:
    hostile = r"""
print("\x1b[31mRead @octocat\x1b[0m </details> ``` \u202egnp.exe")
print("key", os.environ["KIRO_API_KEY"][:8] + "\x1b[0m" + os.environ["KIRO_API_KEY"][8:])
"""
    path = Path(worker.folder / "bin" / "kiro-cli")
    path.parent.mkdir()
    path.write_text(f"#!{sys.executable}\n{SPEAK}{hostile}print(' ▸ Credits: 0.42 • Time: 1m 5s')\n")
    path.chmod(0o755)
    worker.configure("kiro")

    require_success(worker.run(PATH=f"{path.parent}:{worker.environment()['PATH']}"))

    for turn in summary_of(worker).turns:
        lines = turn.said.splitlines()
        assert lines[-2:] == ["Read @octocat </details> ``` gnp.exe", "key [redacted]"]
        assert len(lines) == 12
        assert AGENT_KEY not in turn.said


def test_redriven_run_keeps_earlier_tasks(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan(TASKS)
    assert agent.build(commit, {4: "fail"}).outcome == "AgentFailed"
    assert subjects_on_checkpoint(worker) == {"2 Parse": "Implement 2 Parse"}
    assert [turn.about for turn in summary_of(worker).turns] == ["2 Parse", "3.1 Page"]

    require_success(agent.build(commit))

    summary = summary_of(worker)
    assert subjects(worker, summary)["2 Parse"] == "Implement 2 Parse"
    assert "" not in subjects(worker, summary).values()
    assert [turn.about for turn in summary.turns] == ["2 Parse", "3.1 Page", "3.1 Page", "4 Final checkpoint"]


def subjects_on_checkpoint(worker: Worker) -> dict[str, str]:
    log = worker.repository.git.run("log", "--format=%H %s", worker.checkpoint()).decode().splitlines()
    names = dict(line.split(" ", 1) for line in log)
    return {task.name: names[task.commit] for task in summary_of(worker).tasks}


def test_commits_follow_rebase_of_checkpoint(worker: Worker) -> None:
    agent = ActingAgent(worker)
    assert agent.build(agent.plan(TASKS), {4: "fail"}).outcome == "AgentFailed"
    head = worker.repository.git.commit(BRANCH, {"NEWS.md": "1\n"}, "By a person")

    finished = agent.build(head)

    require_success(finished)
    assert "is rebased onto it" in finished.log
    assert subjects(worker, summary_of(worker))["2 Parse"] == "Implement 2 Parse"


def test_commits_follow_rebase_onto_other_push(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan(TASKS)

    def push_first(operation: str) -> None:
        if operation == "git-receive-pack" and worker.head() == commit:
            worker.repository.git.commit(BRANCH, {"NEWS.md": "1\n"}, "By a person")

    worker.github.on_request = push_first
    finished = agent.build(commit, {5: "idle"})

    require_success(finished)
    assert "rebased" in finished.log
    assert subjects(worker, summary_of(worker)) == DONE


def test_other_runs_tasks_are_not_claimed(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan(TASKS)
    agent.build(commit, {4: "fail"})
    other = EXECUTION.replace("run-1", "run-2")
    worker.start_execution(other)
    worker.hold_lock(other)
    (worker.folder / "actions.json").write_text("{}")

    require_success(worker.run(COMMIT_SHA=commit, EXECUTION_ARN=other))

    summary = read_summary(RecordsTable(worker.client("dynamodb"), RECORDS), other)
    assert "2 Parse" not in subjects(worker, summary)


def test_record_that_cannot_be_written_fails_no_build(worker: Worker) -> None:
    """The record is nearly as large as DynamoDB allows, so that only the summary does not fit."""
    note_push(RecordsTable(worker.client("dynamodb"), RECORDS), RunRecord(EXECUTION, "acme/shop", BRANCH), "0" * 40)
    worker.client("dynamodb").update_item(
        TableName=RECORDS,
        Key={"recordKey": {"S": f"run#{EXECUTION}"}},
        UpdateExpression="SET padding = :padding",
        ExpressionAttributeValues={":padding": {"S": "x" * 403_500}},
    )
    worker.configure(worker.agent(SPEAK + "print('word ' * 100)\n"))

    finished = worker.run()

    require_success(finished)
    assert "the comment will not show each task, because its record cannot be written" in finished.log
    assert worker.head() == finished.exports["RESULT_COMMIT"]
