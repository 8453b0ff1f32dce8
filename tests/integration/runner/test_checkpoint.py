"""Nothing that was paid for is lost, and nothing is taken for done without evidence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kiro_worker.runner.repository.checkout import NEAR_PAST

BRANCH = "feature/discounts"
TASKS = ".kiro/specs/feature-discounts/tasks.md"

# Does what it is asked for, a file a task; ``{}`` is what a test wants before.
TURN = """
import pathlib, re, sys, time
prompt = sys.stdin.read()
number = re.search(r"^- ([\\d.]+?)\\.? ", prompt, re.M)
number = number[1] if number else "fix"
log = pathlib.Path(sys.argv[1])
log.write_text((log.read_text() if log.exists() else "") + number + "\\n")
work = pathlib.Path(f"shop/task_{number.replace('.', '_')}.py")
"""
DO = "work.write_text('DONE = 1\\n')\n"
ALL = ["1.1", "1.2", "1.3", "2.1", "2.2"]


def agent(worker: Any, code: str = DO, **more: Any) -> Path:
    """Configure it; the file in which it notes what it was asked for."""
    log = Path(worker.folder / "asked")
    # Each build may have another user.
    log.touch()
    log.chmod(0o666)
    worker.configure({**worker.agent(TURN + code, str(log)), **more})
    return log


def asked(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def boxes(worker: Any, commit: str) -> list[str]:
    return [line for line in worker.file(TASKS, commit).splitlines() if "[x]" in line]


def test_tasks_are_asked_for_one_by_one_and_ticked_by_the_worker(worker: Any) -> None:
    log = agent(worker)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert asked(log) == ALL
    assert finished.exports["TASKS_OPEN"] == "0", "the groups are ticked with their last part"
    assert len(boxes(worker, BRANCH)) == 7
    assert "Kiro-Worker-Task: 2.2" in worker.repository.git.run("log", "-1", BRANCH).decode()


def test_an_agent_that_fails_loses_no_finished_task_and_is_not_paid_for_it_again(worker: Any) -> None:
    log = agent(worker, "if number == '2.1': work.write_text('HALF = 1\\n'); sys.exit(3)\n" + DO)
    failed = worker.run()
    assert failed.outcome == "AgentFailed"
    assert (failed.exports["TASKS_DONE"], failed.exports["TASKS_OPEN"]) == ("4", "3")
    assert worker.head() == worker.commit, "nothing unproven reaches the pull request"
    assert worker.file("shop/task_1_3.py", worker.checkpoint()) == "DONE = 1\n"
    assert worker.file("shop/task_2_1.py", worker.checkpoint()) == "HALF = 1\n", "what was begun is there, too"
    log.unlink()

    agent(worker)
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert asked(log) == ["2.1", "2.2"]
    assert "going on from the checkpoint" in finished.log
    assert worker.file("shop/task_2_1.py") == "DONE = 1\n"
    assert worker.checkpoint() == ""


def test_what_a_turn_that_failed_left_counts_when_the_next_finds_it_complete(worker: Any) -> None:
    agent(worker, DO + "if number == '1.2': sys.exit(3)\n")
    assert worker.run().outcome == "AgentFailed"

    log = agent(worker)
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert asked(log)[-4:] == ["1.2", "1.3", "2.1", "2.2"]
    assert finished.exports["TASKS_OPEN"] == "0"


def test_a_checkpoint_goes_on_top_of_a_branch_that_has_moved(worker: Any) -> None:
    log = agent(worker, "if number == '1.2': sys.exit(3)\n" + DO)
    worker.run()
    log.unlink()
    worker.repository.git.commit(BRANCH, {"NEWS.md": "By a person.\n"}, "By a person")
    head = worker.head()

    agent(worker)
    finished = worker.run(COMMIT_SHA=head)

    assert finished.outcome == "Succeeded", finished.log
    assert "goes on top of it" in finished.log
    assert asked(log) == ["1.2", "1.3", "2.1", "2.2"]
    assert worker.repository.git.run("merge-base", head, BRANCH).decode().strip() == head


def test_a_checkpoint_of_long_ago_goes_on_top_of_all_that_came_since(worker: Any) -> None:
    log = agent(worker, "if number == '1.2': sys.exit(3)\n" + DO)
    worker.run()
    log.unlink()
    for number in range(NEAR_PAST + 5):
        worker.repository.git.commit(BRANCH, {"NEWS.md": f"{number}\n"}, "By a person")

    agent(worker)
    finished = worker.run(COMMIT_SHA=worker.head())

    assert finished.outcome == "Succeeded", finished.log
    assert "goes on top of it" in finished.log
    assert asked(log) == ["1.2", "1.3", "2.1", "2.2"]


def test_the_push_of_the_work_removes_the_checkpoint_in_the_same_request(worker: Any) -> None:
    agent(worker)
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.checkpoint() == ""
    pushes = [progress for progress in worker.github.requests.git("git-receive-pack") if progress.status == 200]
    assert len(pushes) == len(ALL) + 1


def test_a_server_that_keeps_its_checkpoints_gets_the_work_all_the_same(worker: Any) -> None:
    worker.repository.git.run("config", "receive.denyDeletes", "true")
    agent(worker)

    finished = worker.run()

    assert (finished.outcome, finished.exit_code) == ("Succeeded", 0), finished.log
    assert worker.head() == finished.result["commit"]
    assert "could not be removed" in finished.log


def test_a_checkpoint_that_does_not_apply_is_given_up_and_that_is_said(worker: Any) -> None:
    log = agent(worker, "if number == '1.2': sys.exit(3)\n" + DO)
    worker.run()
    log.unlink()
    worker.repository.git.commit(BRANCH, {"shop/task_1_1.py": "THEIRS = 1\n"}, "By a person")

    agent(worker)
    finished = worker.run(COMMIT_SHA=worker.head())

    assert "the work starts over" in finished.log
    assert asked(log) == ALL


def test_work_that_failed_its_tests_gets_one_turn_to_be_fixed(worker: Any) -> None:
    broken = (
        "if number == '2.2': pathlib.Path('tests/test_no.py').write_text("
        "'import unittest\\nclass T(unittest.TestCase):\\n def test(self): self.fail(\"not yet\")\\n')\n"
    )
    log = agent(worker, DO + broken)
    assert worker.run().outcome == "TestsFailed"
    assert len(boxes(worker, worker.checkpoint())) == 7
    log.unlink()

    agent(worker, "assert 'not yet' in prompt\npathlib.Path('tests/test_no.py').unlink()\n")
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert asked(log) == ["fix"]


def test_nothing_is_done_without_evidence(worker: Any) -> None:
    """Exit code 0 and nothing else: two such turns in a row end it."""
    log = agent(worker, "print('all done!')\n")

    finished = worker.run()

    assert finished.outcome == "NoChanges"
    assert asked(log) == ["1.1", "1.2"]
    assert worker.checkpoint() == ""


def test_boxes_alone_are_no_work(worker: Any) -> None:
    tick = f"tasks = pathlib.Path({TASKS!r}); tasks.write_text(tasks.read_text().replace('[ ]', '[x]'))\n"
    agent(worker, tick)

    finished = worker.run()

    assert finished.outcome == "NoChanges"
    assert (worker.head(), worker.checkpoint()) == (worker.commit, "")


def test_of_a_list_that_the_agent_rewrote_it_is_put_back(worker: Any) -> None:
    agent(worker, DO + f"pathlib.Path({TASKS!r}).write_text('# Nothing to do\\n')\n")

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert len(boxes(worker, BRANCH)) == 7


def test_a_task_left_in_progress_is_open_again(worker: Any) -> None:
    text = worker.file(TASKS).replace("- [ ] 1.2", "- [-] 1.2")
    worker.repository.git.commit(BRANCH, {TASKS: text}, "In progress")
    log = agent(worker, "assert '[-]' not in pathlib.Path('" + TASKS + "').read_text()\n" + DO)

    finished = worker.run(COMMIT_SHA=worker.head())

    assert finished.outcome == "Succeeded", finished.log
    assert asked(log) == ALL


def test_the_spend_cap_stops_between_tasks_and_the_next_build_goes_on(worker: Any) -> None:
    says = "print('▸ Credits: 2 • Time: 3s')\n"
    log = agent(worker, DO + says, maxCredits=4)
    finished = worker.run()
    assert finished.outcome == "AgentFailed"
    assert (
        "the agent spent 4 credits, and agent.maxCredits is 4: 2 tasks are done" in finished.exports["OUTCOME_REASON"]
    )
    assert asked(log) == ["1.1", "1.2"]

    agent(worker, DO + says)
    assert worker.run().outcome == "Succeeded"
    assert asked(log) == ALL


def test_a_cap_that_cannot_be_kept_to_is_an_error(worker: Any) -> None:
    agent(worker, maxCredits=4)
    assert "does not report the cost of its turns" in worker.run().exports["OUTCOME_REASON"]


def test_minutes_are_capped_too(worker: Any) -> None:
    log = agent(worker, DO + "time.sleep(0.7)\n", maxMinutes=0.02)
    finished = worker.run()
    assert finished.outcome == "AgentTimedOut"
    assert "agent.maxMinutes is 0.02" in finished.exports["OUTCOME_REASON"]
    assert 1 <= len(asked(log)) < 5


def test_a_checkpoint_that_the_server_refuses_does_not_stop_the_work(worker: Any) -> None:
    hook = worker.repository.git.path / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in *checkpoint*) exit 1;; esac\n')
    hook.chmod(0o755)
    agent(worker)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "could not be pushed" in finished.log


def test_a_checkpoint_is_pushed_under_the_lock_only(worker: Any) -> None:
    steal = (
        "import boto3\nboto3.client('dynamodb', endpoint_url=sys.argv[2], region_name='us-east-1',"
        " aws_access_key_id='a', aws_secret_access_key='b').put_item(TableName='kiro-worker-test-locks', Item={"
        "'lockKey': {'S': 'work-item-processor-lock'}, 'owner': {'S': 'another-execution'},"
        "'fence': {'N': '1800000000000'}, 'expiresAt': {'N': str(int(time.time()) + 3600)}})\n"
    )
    worker.folder.chmod(0o777)
    worker.configure(worker.agent(TURN + DO + steal, str(worker.folder / "asked"), worker.aws["endpoint_url"]))

    finished = worker.run()

    assert finished.outcome == "LockLost"
    assert worker.checkpoint() == ""


def test_a_build_that_is_killed_loses_no_finished_task(worker: Any) -> None:
    log = agent(worker, "if number == '1.3': time.sleep(300)\n" + DO)
    (worker.folder / "src").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "kiro_worker.runner"],
        cwd=worker.folder / "src",
        env=worker.environment(),
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while asked(log)[-1:] != ["1.3"] and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    assert worker.head() == worker.commit
    log.unlink()

    agent(worker)
    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert asked(log) == ["1.3", "2.1", "2.2"]
