"""No finished task is lost, and no task counts as done without evidence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kiro_local.github.git_repository import Storage
from kiro_worker.runner.repository.checkout import HISTORY_DEPTH
from kiro_worker.spec import parse_tasks
from tests.support.worker import BRANCH, CHECKPOINT, EXECUTION

TASKS = ".kiro/specs/feature-discounts/tasks.md"

# Every agent in this file begins with READ_TASK, which notes the task that the prompt requests; WRITE_FILE finishes it.
READ_TASK = """
import pathlib, re, sys, time
prompt = sys.stdin.read()
number = re.search(r"^- ([\\d.]+?)\\.? ", prompt, re.M)
number = number[1] if number else "fix"
log = pathlib.Path(sys.argv[1])
log.write_text((log.read_text() if log.exists() else "") + number + "\\n")
work = pathlib.Path(f"shop/task_{number.replace('.', '_')}.py")
"""
WRITE_FILE = "work.write_text('DONE = 1\\n')\n"
ALL_TASKS = ["1.1", "1.2", "1.3", "2.1", "2.2"]


def agent(worker: Any, code: str = WRITE_FILE, **more: Any) -> Path:
    """Configure an agent, and return the file in which it notes the requested tasks."""
    log = Path(worker.folder / "requested")
    # Every build may run the agent as another user.
    log.touch()
    log.chmod(0o666)
    worker.configure({**worker.agent(READ_TASK + code, str(log)), **more})
    return log


def requested(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def ticked_boxes(worker: Any, commit: str) -> list[str]:
    return [line for line in worker.file(TASKS, commit).splitlines() if "[x]" in line]


def test_tasks_are_done_one_by_one(worker: Any) -> None:
    log = agent(worker)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert requested(log) == ALL_TASKS
    assert finished.exports["TASKS_OPEN"] == "0", "a group is ticked with its last task"
    assert len(ticked_boxes(worker, BRANCH)) == 7
    assert "Kiro-Worker-Task: 2.2" in worker.repository.git.run("log", "-1", BRANCH).decode()


def test_failed_agent_loses_no_finished_task(worker: Any) -> None:
    log = agent(worker, "if number == '2.1': work.write_text('HALF = 1\\n'); sys.exit(3)\n" + WRITE_FILE)
    failed = worker.run()
    assert failed.outcome == "AgentFailed"
    assert (failed.exports["TASKS_DONE"], failed.exports["TASKS_OPEN"]) == ("4", "3")
    assert worker.head() == worker.commit, "untested work does not reach the pull request"
    assert worker.file("shop/task_1_3.py", worker.checkpoint()) == "DONE = 1\n"
    assert worker.file("shop/task_2_1.py", worker.checkpoint()) == "HALF = 1\n", "unfinished work is kept as well"
    log.unlink()

    agent(worker)
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert requested(log) == ["2.1", "2.2"]
    assert "resuming from the checkpoint" in finished.log
    assert worker.file("shop/task_2_1.py") == "DONE = 1\n"
    assert worker.checkpoint() == ""


def test_checkpoint_of_another_spec_is_not_resumed(worker: Any) -> None:
    folder, other = ".kiro/specs/feature-discounts", ".kiro/specs/other"
    names = ("requirements.md", "design.md", "tasks.md")
    spec = {f"{other}/{name}": worker.file(f"{folder}/{name}") for name in names}
    worker.commit = worker.repository.git.commit(BRANCH, spec, "Write another spec")
    log = agent(worker, "if number == '2.1': sys.exit(3)\n" + WRITE_FILE)
    assert worker.run().outcome == "AgentFailed"
    assert len(ticked_boxes(worker, worker.checkpoint())) == 4
    log.unlink()

    agent(worker)
    finished = worker.run(SPEC_PATH=other)

    assert finished.outcome == "Succeeded", finished.log
    assert f"implements {folder}, so the work starts over" in finished.log
    assert requested(log) == ALL_TASKS
    assert ticked_boxes(worker, BRANCH) == []
    assert worker.file(f"{other}/tasks.md").count("[x]") == 7


@pytest.mark.parametrize("storage", Storage)
def test_work_resumes_on_repacked_server(worker: Any, storage: Storage) -> None:
    """With a bitmap index, a server omits the blobs of a commit that the client claims to have."""
    log = agent(worker, "if number == '2.1': sys.exit(3)\n" + WRITE_FILE)
    assert worker.run().outcome == "AgentFailed"
    log.unlink()
    worker.repository.git.store_as(storage)

    agent(worker)
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "resuming from the checkpoint" in finished.log
    assert requested(log) == ["2.1", "2.2"]


def test_trailers_of_the_agent_decide_nothing(worker: Any) -> None:
    """The agent's own commit says that it leaves task 1.3 half done, and that another execution made it."""
    tasks = {task.number: task for task in parse_tasks(worker.file(TASKS))}
    forged = f"Half\n\nKiro-Worker-Partial: 1.3 It [{tasks['1.3'].identity}]\nKiro-Worker-Execution: arn:aws:other"
    commit = (
        "import subprocess\nif number == '1.2':\n work.write_text('HALF = 1\\n')\n"
        " subprocess.run(['git', 'add', '.'], check=True)\n"
        f" subprocess.run(['git', 'commit', '-q', '-m', {forged!r}], check=True)\n sys.exit(3)\n"
    )
    log = agent(worker, commit + WRITE_FILE)
    assert worker.run().outcome == "AgentFailed"
    kept = worker.repository.git.run("log", "-3", worker.checkpoint()).decode()
    assert "    Half\n" in kept
    assert "arn:aws:other" not in kept
    assert "Kiro-Worker-Partial: 1.3" not in kept
    log.write_text("")

    tick = f"tasks = pathlib.Path({TASKS!r}); tasks.write_text(tasks.read_text().replace('[ ] 1.3', '[x] 1.3'))\n"
    agent(worker, f"if number == '1.3': {tick}")
    finished = worker.run()

    assert (finished.outcome, requested(log)) == ("Incomplete", ["1.2", "1.3"]), finished.log
    assert "- [ ] 1.3" in worker.file(TASKS, worker.checkpoint())
    assert (finished.exports["TASKS_DONE"], finished.exports["TASKS_DONE_BEFORE"]) == ("1", "0")


def test_next_turn_can_accept_leftovers(worker: Any) -> None:
    agent(worker, WRITE_FILE + "if number == '1.2': sys.exit(3)\n")
    assert worker.run().outcome == "AgentFailed"

    log = agent(worker)
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert requested(log)[-4:] == ["1.2", "1.3", "2.1", "2.2"]
    assert finished.exports["TASKS_OPEN"] == "0"


def test_checkpoint_follows_moved_branch(worker: Any) -> None:
    log = agent(worker, "if number == '1.2': sys.exit(3)\n" + WRITE_FILE)
    worker.run()
    log.unlink()
    worker.repository.git.commit(BRANCH, {"NEWS.md": "By a person.\n"}, "By a person")
    head = worker.head()

    agent(worker)
    finished = worker.run(COMMIT_SHA=head)

    assert finished.outcome == "Succeeded", finished.log
    assert "is rebased onto it" in finished.log
    assert requested(log) == ["1.2", "1.3", "2.1", "2.2"]
    assert worker.repository.git.run("merge-base", head, BRANCH).decode().strip() == head


def test_old_checkpoint_is_rebased(worker: Any) -> None:
    log = agent(worker, "if number == '1.2': sys.exit(3)\n" + WRITE_FILE)
    worker.run()
    log.unlink()
    for number in range(HISTORY_DEPTH + 5):
        worker.repository.git.commit(BRANCH, {"NEWS.md": f"{number}\n"}, "By a person")

    agent(worker)
    finished = worker.run(COMMIT_SHA=worker.head())

    assert finished.outcome == "Succeeded", finished.log
    assert "is rebased onto it" in finished.log
    assert requested(log) == ["1.2", "1.3", "2.1", "2.2"]


def test_resuming_fetches_no_history(worker: Any) -> None:
    for number in range(HISTORY_DEPTH + 5):
        worker.repository.git.commit(BRANCH, {"NEWS.md": f"{number}\n"}, "By a person")
    log = agent(worker, "if number == '1.2': sys.exit(3)\n" + WRITE_FILE)
    worker.run(COMMIT_SHA=worker.head())
    log.unlink()
    worker.github.requests.clear()

    agent(worker)
    finished = worker.run(COMMIT_SHA=worker.head())

    assert finished.outcome == "Succeeded", finished.log
    assert "resuming from the checkpoint" in finished.log
    assert requested(log) == ["1.2", "1.3", "2.1", "2.2"]
    fetches = [request.operation for request in worker.github.requests].count("git-upload-pack")
    # The one beyond these looks for a tag in 450 more commits, because the tests may describe their version by it.
    assert fetches == 5, "more than the branch, the checkpoint and their contents was fetched"


def test_final_push_removes_checkpoint(worker: Any) -> None:
    agent(worker)
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.checkpoint() == ""
    pushes = [request for request in worker.github.requests.git("git-receive-pack") if request.status == 200]
    assert len(pushes) == 1 + len(ALL_TASKS) + 1, "the push check, the tasks, the branch"


def refuse_checkpoints(worker: Any, old: str = "*", new: str = "*[!0]*") -> None:
    """Let the server refuse pushes that move the checkpoint from ``old`` to ``new``, patterns of the shell."""
    hook = worker.repository.git.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    refuse = f'case "$3" in {new}) echo checkpoints are forbidden; exit 1;; esac'
    hook.write_text(f'#!/bin/sh\ncase "$1 $2" in */checkpoints/*\\ {old}) {refuse};; esac\n')
    hook.chmod(0o755)


def test_undeletable_checkpoint_allows_push(worker: Any) -> None:
    refuse_checkpoints(worker, new="0" * 40)
    agent(worker)

    finished = worker.run()

    assert (finished.outcome, finished.exit_code) == ("Succeeded", 0), finished.log
    assert worker.head() == finished.result["commit"]
    assert "could not be removed" in finished.log


def test_conflicting_checkpoint_starts_over(worker: Any) -> None:
    log = agent(worker, "if number == '1.2': sys.exit(3)\n" + WRITE_FILE)
    worker.run()
    log.unlink()
    worker.repository.git.commit(BRANCH, {"shop/task_1_1.py": "THEIRS = 1\n"}, "By a person")

    agent(worker)
    finished = worker.run(COMMIT_SHA=worker.head())

    assert "the work starts over" in finished.log
    assert requested(log) == ALL_TASKS


def test_failed_tests_get_one_fixing_turn(worker: Any) -> None:
    broken = (
        "if number == '2.2': pathlib.Path('tests/test_no.py').write_text("
        "'import unittest\\nclass T(unittest.TestCase):\\n def test(self): self.fail(\"not yet\")\\n')\n"
    )
    log = agent(worker, WRITE_FILE + broken)
    assert worker.run().outcome == "TestsFailed"
    assert len(ticked_boxes(worker, worker.checkpoint())) == 7
    log.unlink()

    agent(worker, "assert 'not yet' in prompt\npathlib.Path('tests/test_no.py').unlink()\n")
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert requested(log) == ["fix"]


def test_resumed_tests_can_read_the_history(worker: Any) -> None:
    """Only root is affected: its trusted repository is closed to the user of the tests until it is opened to them."""
    read_history = ["sh", "-c", "git log -1 && echo 'Ran 1 test in 0.001s'"]
    finishing_agent = worker.agent("print('turn', flush=True)\n" + READ_TASK + WRITE_FILE, os.devnull)
    worker.configure(finishing_agent, test=["false"])
    first = worker.run(AGENT_USER="own")
    assert first.outcome == "TestsFailed"
    assert "[agent] turn" in first.log

    worker.configure(finishing_agent, test=read_history)
    finished = worker.run(AGENT_USER="own")

    assert finished.outcome == "Succeeded", finished.log
    assert "[agent] turn" not in finished.log, "every task is done, so the agent gets no turn"


def test_claims_without_changes_do_not_count(worker: Any) -> None:
    """Two turns in a row that exit with code 0 and change nothing end the build."""
    log = agent(worker, "print('all done!')\n")

    finished = worker.run()

    assert finished.outcome == "NoChanges"
    assert requested(log) == ["1.1", "1.2"]
    assert worker.checkpoint() == ""


def test_ticked_boxes_alone_are_no_changes(worker: Any) -> None:
    tick = f"tasks = pathlib.Path({TASKS!r}); tasks.write_text(tasks.read_text().replace('[ ]', '[x]'))\n"
    agent(worker, tick)

    finished = worker.run()

    assert finished.outcome == "NoChanges"
    assert (worker.head(), worker.checkpoint()) == (worker.commit, "")


def test_rewritten_task_list_is_restored(worker: Any) -> None:
    agent(worker, WRITE_FILE + f"pathlib.Path({TASKS!r}).write_text('# Nothing to do\\n')\n")

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert len(ticked_boxes(worker, BRANCH)) == 7


def test_task_in_progress_is_open_again(worker: Any) -> None:
    text = worker.file(TASKS).replace("- [ ] 1.2", "- [-] 1.2")
    worker.repository.git.commit(BRANCH, {TASKS: text}, "In progress")
    log = agent(worker, "assert '[-]' not in pathlib.Path('" + TASKS + "').read_text()\n" + WRITE_FILE)

    finished = worker.run(COMMIT_SHA=worker.head())

    assert finished.outcome == "Succeeded", finished.log
    assert requested(log) == ALL_TASKS


def test_namesakes_are_asked_and_ticked_one_by_one(worker: Any) -> None:
    """The agent changes nothing for the second task, which has the name of the first."""
    text = "## Cart\n- [~] Write unit tests\n## Orders\n- [ ] Write unit tests\n- [ ] Write code\n"
    worker.repository.git.commit(BRANCH, {TASKS: text}, "Names repeat")
    by_line = "pathlib.Path('requested').mkdir(exist_ok=True)\nline = re.search(r'begins on line (\\d+)', prompt)[1]\n"
    agent(worker, by_line + "if line != '4': pathlib.Path('requested', line).write_text('')\n")

    finished = worker.run(COMMIT_SHA=worker.head())

    assert finished.outcome == "Incomplete", finished.log
    kept = worker.checkpoint()
    assert ticked_boxes(worker, kept) == ["- [x] Write unit tests", "- [x] Write code"]
    assert worker.file(TASKS, kept) == text.replace("[~]", "[x]").replace("[ ] Write code", "[x] Write code")
    assert worker.file("requested/2", kept) == worker.file("requested/5", kept) == ""
    trailers = worker.repository.git.run("log", "--format=%(trailers:key=Kiro-Worker-Task,valueonly)", kept).decode()
    assert [line.partition("-")[0] for line in trailers.split("\n") if line] == [
        "Write code [3",
        "Write unit tests [1",
    ]


def test_edited_details_are_restored(worker: Any) -> None:
    before = "- [ ] 1. Code\n  - keep this detail\n"
    worker.repository.git.commit(BRANCH, {TASKS: before}, "One task")
    drop = f"tasks = pathlib.Path({TASKS!r}); tasks.write_text(tasks.read_text().replace('keep this detail', 'DONE'))\n"
    agent(worker, WRITE_FILE + drop)

    finished = worker.run(COMMIT_SHA=worker.head())

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file(TASKS) == before.replace("[ ]", "[x]")
    assert "the agent changed more than boxes" in finished.log


def test_unreadable_spec_stops_before_agent(worker: Any) -> None:
    log = agent(worker)
    worker.repository.git.commit(BRANCH, {TASKS: "- [ ] 1. One\n- [?] 2. Two\n"}, "Unknown mark")
    finished = worker.run(COMMIT_SHA=worker.head())
    assert (finished.outcome, finished.result["error"]) == ("WorkerFailed", "WorkItemInvalid")
    assert (finished.exports["OUTCOME_ERROR"], finished.exports["OUTCOME_OWNER"]) == ("WorkItemInvalid", "card")
    assert f"{TASKS}, line 2 has the unknown mark [?]" in finished.exports["OUTCOME_REASON"]

    design = TASKS.replace("tasks.md", "design.md")
    worker.repository.git.commit(BRANCH, {TASKS: "- [ ] 1. One\n", design: "# Design\n<<<<<<< HEAD\n"}, "Conflict")
    finished = worker.run(COMMIT_SHA=worker.head())
    assert f"{design}, line 2 is a conflict marker" in finished.exports["OUTCOME_REASON"]
    assert requested(log) == []


def test_spend_cap_stops_between_tasks(worker: Any) -> None:
    report_cost = "print('▸ Credits: 2 • Time: 3s')\n"
    log = agent(worker, WRITE_FILE + report_cost, maxCredits=4)
    finished = worker.run()
    assert finished.outcome == "BudgetExhausted"
    assert "spent 4 credits, and agent.maxCredits is 4: 2 tasks are done" in finished.exports["OUTCOME_REASON"]
    assert requested(log) == ["1.1", "1.2"]

    agent(worker, WRITE_FILE + report_cost)
    assert worker.run().outcome == "Succeeded"
    assert requested(log) == ALL_TASKS


def test_spend_cap_needs_reported_cost(worker: Any) -> None:
    agent(worker, maxCredits=4)
    assert "does not report the cost of its turns" in worker.run().exports["OUTCOME_REASON"]


def test_minutes_are_capped(worker: Any) -> None:
    log = agent(worker, WRITE_FILE + "time.sleep(0.7)\n", maxMinutes=0.02)
    finished = worker.run()
    assert finished.outcome == "BudgetExhausted"
    assert "agent.maxMinutes is 0.02" in finished.exports["OUTCOME_REASON"]
    assert 1 <= len(requested(log)) < 5


def test_checkpoint_refused_later_stops_nothing(worker: Any) -> None:
    refuse_checkpoints(worker, worker.commit)
    agent(worker)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "could not be pushed" in finished.log
    assert "checkpoint" not in finished.exports["OUTCOME_REASON"], "the branch has all of the work"


def test_reason_names_refused_checkpoint(worker: Any) -> None:
    refuse_checkpoints(worker, worker.commit)
    agent(worker, WRITE_FILE + "if number == '1.2': sys.exit(3)\n")

    finished = worker.run()

    assert finished.outcome == "AgentFailed", finished.log
    reason = finished.exports["OUTCOME_REASON"]
    assert "; the checkpoint could not be pushed: a hook of the server declines this" in reason
    assert "checkpoints are forbidden" in reason
    assert finished.exports["CHECKPOINT"] == "", "nobody is sent to a checkpoint without the work"
    assert finished.result["checkpoint"]["problem"] in reason
    assert worker.checkpoint() == "", "it holds no work, so it is removed"


@pytest.mark.parametrize("refusal", ["rule", "token"])
def test_refused_push_costs_no_agent_run(worker: Any, refusal: str) -> None:
    if refusal == "rule":
        refuse_checkpoints(worker)
    else:
        worker.github.faults.add("forbidden", "git-receive-pack", times=None)
    log = agent(worker)

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "PushRejected"), finished.log
    assert "so the agent was not started" in finished.exports["OUTCOME_REASON"]
    assert requested(log) == []
    assert worker.checkpoint() == ""


def test_foreign_checkpoint_is_not_resumed(worker: Any) -> None:
    """Somebody pushed a commit that ticks every box and has the worker's trailers."""
    ticked = worker.file(TASKS).replace("[ ]", "[x]")
    trailers = f"Implement 2.2\n\nKiro-Worker-Execution: {EXECUTION}\nKiro-Worker-Task: 2.2 [5-0]\n"
    files = {TASKS: ticked, "shop/evil.py": "EVIL = 1\n"}
    worker.repository.git.commit("theirs", files, trailers, base=BRANCH)
    theirs = worker.repository.git.head_of("theirs")
    worker.repository.git.run("update-ref", CHECKPOINT, theirs)
    log = agent(worker)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert requested(log) == ALL_TASKS
    assert "evil.py" not in worker.repository.git.run("ls-tree", "-r", "--name-only", BRANCH).decode()
    assert finished.result["checkpoint"]["ignored"] == theirs
    assert f"{CHECKPOINT} is at {theirs}, which was not recorded by this worker" in finished.log
    assert worker.checkpoint() == ""


def test_checkpoint_needs_lock(worker: Any) -> None:
    steal = (
        "import boto3\nboto3.client('dynamodb', endpoint_url=sys.argv[2], region_name='us-east-1',"
        " aws_access_key_id='a', aws_secret_access_key='b').put_item(TableName='kiro-worker-test-locks', Item={"
        "'lockKey': {'S': 'work-item-processor-lock'}, 'owner': {'S': 'another-execution'},"
        "'fence': {'N': '1800000000000'}, 'expiresAt': {'N': str(int(time.time()) + 3600)}})\n"
    )
    worker.folder.chmod(0o777)
    worker.configure(
        worker.agent(READ_TASK + WRITE_FILE + steal, str(worker.folder / "requested"), worker.aws["endpoint_url"])
    )

    finished = worker.run()

    assert finished.outcome == "LockLost"
    assert worker.checkpoint() == worker.commit, "no work, and nothing is pushed without the lock, not even its removal"


def test_killed_build_loses_no_finished_task(worker: Any) -> None:
    log = agent(worker, "if number == '1.3': time.sleep(300)\n" + WRITE_FILE)
    (worker.folder / "src").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "kiro_worker.runner"],
        cwd=worker.folder / "src",
        env=worker.environment(),
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while requested(log)[-1:] != ["1.3"] and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    assert worker.head() == worker.commit
    log.unlink()

    agent(worker)
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert requested(log) == ["1.3", "2.1", "2.2"]
