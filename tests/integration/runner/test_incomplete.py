"""A build succeeds only if every required task is done. Otherwise it is Incomplete, and its checkpoint has the work."""

from __future__ import annotations

import os

import pytest

from kiro_worker.errors import BuildStopped
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.checkout import check_out
from kiro_worker.runner.repository.checkpoint import Checkpoint
from kiro_worker.runner.repository.commit import with_file
from kiro_worker.runner.repository.publish import publish
from kiro_worker.runner.request import BuildRequest
from tests.support.acting_agent import ActingAgent, boxes, work_in
from tests.support.worker import BRANCH, EXECUTION, PASSWORD, Finished, Worker

TASKS = ".kiro/specs/feature-discounts/tasks.md"
FIVE = "# Plan\n\n- [ ] 1. Parse\n- [ ] 2. Price\n- [ ] 3. Print\n- [ ] 4. Post\n- [ ] 5. Purge\n"
CHECKED = "- [ ] 1. Parse\n- [ ] 2. Checkpoint - Ensure all tests pass\n- [ ] 3. Print\n- [ ] 4. Final checkpoint\n"


def require_nothing_pushed(worker: Worker, commit: str, finished: Finished) -> None:
    assert finished.exit_code == 1
    assert worker.head() == commit
    assert finished.exports["RESULT_COMMIT"] == ""


def test_one_of_five_tasks_is_incomplete(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan(FIVE)

    finished = agent.build(commit, {4: "idle", 5: "only tick"})

    assert finished.outcome == "Incomplete", finished.log
    assert agent.asked == [3, 4, 5], "two idle turns in a row end the build"
    require_nothing_pushed(worker, commit, finished)
    reason = finished.exports["OUTCOME_REASON"]
    assert reason.startswith("1 of 5 tasks done: python")
    assert "changed nothing in 2 turns in a row. How to fix: redrive the execution or move the card back" in reason
    assert finished.exports["OPEN_TASKS"] == '"2 Price\\n3 Print\\n4 Post\\n5 Purge"'
    assert finished.result["tasks"] == {
        "done": 1,
        "doneByThisRun": 1,
        "doneBefore": 0,
        "open": 4,
        "optional": 0,
        "openNames": ["2 Price", "3 Print", "4 Post", "5 Purge"],
    }
    assert finished.result["tests"] == {"command": [], "summary": "", "exitCode": None, "passed": None}
    assert "── tests" not in finished.log, "the gate is not spent on work that cannot be pushed"
    assert boxes(worker.file(TASKS, worker.checkpoint())) == ["x", " ", " ", " ", " "]
    assert work_in(worker, worker.checkpoint()) == {3}

    continued = agent.build(commit)

    assert continued.outcome == "Succeeded", continued.log
    assert agent.asked == [4, 5, 6, 7]
    assert work_in(worker, BRANCH) == {3, 4, 5, 6, 7}
    assert (continued.exports["TASKS_DONE"], continued.exports["TASKS_DONE_BEFORE"]) == ("5", "0")
    assert worker.checkpoint() == ""


def test_other_run_tells_its_tasks_apart(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan("- [x] 1. Parse\n- [ ] 2. Price\n- [ ] 3. Print\n- [x]* 4. Post\n")
    assert agent.build(commit, {3: "idle"}).outcome == "Incomplete"
    execution = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:run-2"
    worker.start_execution(execution)
    worker.hold_lock(execution)

    finished = worker.run(COMMIT_SHA=commit, EXECUTION_ARN=execution)

    assert (finished.outcome, agent.asked) == ("Incomplete", [2, 3, 3])
    tasks = finished.result["tasks"]
    assert (tasks["doneByThisRun"], tasks["doneBefore"], tasks["open"], tasks["optional"]) == (0, 2, 1, 1)
    assert finished.exports["OUTCOME_REASON"].startswith("2 of 3 tasks done")


def test_title_used_twice_is_not_done_twice(worker: Worker) -> None:
    agent = ActingAgent(worker)
    plan = "## Basket\n- [x] Write unit tests\n\n## Invoices\n- [ ] Write unit tests\n- [ ] Write code\n"
    commit = agent.plan(plan)

    finished = agent.build(commit, {5: "only tick"})

    assert finished.outcome == "Incomplete", finished.log
    assert agent.asked == [5, 6]
    require_nothing_pushed(worker, commit, finished)
    assert finished.exports["OUTCOME_REASON"].startswith("2 of 3 tasks done")
    assert finished.result["tasks"]["openNames"] == ["Write unit tests"]
    assert boxes(worker.file(TASKS, worker.checkpoint())) == ["x", " ", "x"]


def test_number_used_twice_is_asked_twice(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan("## Phase 1\n- [x] 1. Import\n- [ ] 2. Menu\n## Phase 2\n- [ ] 1. Export\n- [ ] 2. Menu\n")

    finished = agent.build(commit, {6: "work and tick"})

    assert (finished.outcome, agent.asked) == ("Succeeded", [3, 5, 6]), finished.log
    assert boxes(worker.file(TASKS)) == ["x"] * 4


def test_queued_tasks_are_required(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan("- [x] 1. Parse\n- [~] 2. Price\n- [~] 3. Print\n  - [ ] 3.1 Head\n  - [~] 3.2 Body\n")

    finished = agent.build(commit, {2: "idle"})

    assert (finished.outcome, agent.asked) == ("Incomplete", [2, 4, 5]), finished.log
    assert boxes(worker.file(TASKS, worker.checkpoint())) == ["x", " ", "x", "x", "x"]
    assert finished.exports["OUTCOME_REASON"].startswith("4 of 5 tasks done")


def test_only_the_asked_task_is_done(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan("- [ ] 1. Parse\n- [ ] 2. Price\n- [ ] 3. Print\n")

    finished = agent.build(commit, {1: "work and rewrite", 2: "tick everything"})

    assert (finished.outcome, agent.asked) == ("Incomplete", [1, 2, 3]), finished.log
    assert boxes(worker.file(TASKS, worker.checkpoint())) == ["x", " ", "x"]
    assert "All done!" not in worker.file(TASKS, worker.checkpoint())


def test_task_left_in_progress_is_open(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan("- [ ] 1. Parse\n- [ ] 2. Price\n")

    finished = agent.build(commit, {1: "leave in progress"})

    assert (finished.outcome, agent.asked) == ("Incomplete", [1, 2]), finished.log
    assert boxes(worker.file(TASKS, worker.checkpoint())) == [" ", "x"]
    assert work_in(worker, worker.checkpoint()) == {1, 2}, "unfinished work is kept as well"


def test_leftovers_do_not_finish_a_task_by_themselves(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan("- [ ] 1. Parse\n- [ ] 2. Price\n")
    assert agent.build(commit, {2: "fail"}).outcome == "AgentFailed"

    idle = agent.build(commit, {2: "idle"})

    assert (idle.outcome, agent.asked) == ("Incomplete", [2]), idle.log
    assert agent.build(commit, {2: "only tick"}).outcome == "Succeeded", "the agent accepts the unfinished work"


def test_leftovers_do_not_finish_another_task(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan("- [ ] 1. Parse\n- [ ] 2. Price\n")

    finished = agent.build(commit, {1: "leave in progress", 2: "only tick"})

    assert (finished.outcome, agent.asked) == ("Incomplete", [1, 2]), finished.log
    assert boxes(worker.file(TASKS, worker.checkpoint())) == [" ", " "]


def test_optional_tasks_and_groups_are_not_required(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan(
        "- [ ] 1. Parse\n  - [x] 1.1 Head\n- [ ] 2. Print\n  - [ ] 2.1 Page\n  - [ ]* 2.2 Color\n- [ ]* 3. Post\n"
    )

    finished = agent.build(commit, {4: "work and rewrite"})

    assert (finished.outcome, agent.asked) == ("Succeeded", [4]), finished.log
    assert boxes(worker.file(TASKS)) == ["x", "x", "x", "x", " ", " "]
    tasks = finished.result["tasks"]
    assert (tasks["doneByThisRun"], tasks["doneBefore"], tasks["open"], tasks["optional"]) == (3, 1, 0, 2)


def test_agent_of_all_tasks_must_tick_them(worker: Worker) -> None:
    agent = ActingAgent(worker, mode="all")
    commit = agent.plan("- [ ] 1. Parse\n- [ ] 2. Price\n- [ ]* 3. Post\n")

    finished = agent.build(commit, {1: "work and tick", 2: "idle"})

    assert (finished.outcome, agent.asked) == ("Incomplete", [1, 2]), finished.log
    assert finished.exports["OUTCOME_REASON"].startswith("1 of 2 tasks done")
    assert boxes(worker.file(TASKS, worker.checkpoint())) == ["x", " ", " "]


def test_spent_limit_keeps_its_outcome(worker: Worker) -> None:
    agent = ActingAgent(worker)
    configured = {"command": ["sh", "-c", "cat >prompt; date +%N >>work; sleep 1"], "maxMinutes": 0.01}
    commit = agent.plan(FIVE)
    worker.configure(configured)

    finished = worker.run(COMMIT_SHA=commit)

    assert finished.outcome == "BudgetExhausted", finished.log
    assert finished.result["tasks"]["openNames"][:1] == ["2 Price"]
    require_nothing_pushed(worker, commit, finished)


def test_checks_are_done_by_the_gate(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan(CHECKED)

    finished = agent.build(commit, {2: "only tick", 4: "idle"})

    assert (finished.outcome, agent.asked) == ("Succeeded", [1, 2, 3, 4]), finished.log
    assert boxes(worker.file(TASKS)) == ["x"] * 4
    assert finished.result["tasks"]["doneByThisRun"] == 4
    assert worker.head() == finished.exports["RESULT_COMMIT"]
    assert finished.result["tests"] == {
        "command": ["sh", "-c", "test ! -e broken && echo 'Ran 1 test in 0.001s'"],
        "summary": "Ran 1 test in 0.001s",
        "exitCode": 0,
        "passed": True,
    }


def test_checks_do_not_count_as_idle_turns(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan("- [ ] 1. Parse\n- [ ] 2. Checkpoint\n- [ ] 3. Run all tests\n- [ ] 4. Print\n")

    finished = agent.build(commit, {1: "idle", 2: "idle", 3: "idle"})

    assert (finished.outcome, agent.asked) == ("Incomplete", [1, 2, 3, 4]), finished.log
    assert finished.result["tasks"]["openNames"] == ["1 Parse", "2 Checkpoint", "3 Run all tests"]
    assert boxes(worker.file(TASKS, worker.checkpoint())) == [" ", " ", " ", "x"]


def test_failed_gate_leaves_checks_open(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan(CHECKED)

    failed = agent.build(commit, {2: "idle", 3: "break", 4: "only tick"})

    assert failed.outcome == "TestsFailed", failed.log
    assert boxes(worker.file(TASKS, worker.checkpoint())) == ["x", " ", "x", " "]
    assert failed.result["tasks"]["openNames"] == ["2 Checkpoint - Ensure all tests pass", "4 Final checkpoint"]
    assert failed.exports["TESTS_SUMMARY"] == "exit code 1"
    assert failed.result["tests"]["exitCode"] == 1
    assert failed.result["tests"]["passed"] is False
    require_nothing_pushed(worker, commit, failed)

    # The checks are asked for again, and then the agent gets a turn to fix what the gate reported.
    code = "import os, sys\nif 'its checks fail' in sys.stdin.read(): os.remove('broken')\n"
    worker.configure(worker.agent(code), test=["sh", "-c", "test ! -e broken && echo 'Ran 1 test in 0.001s'"])
    fixed = worker.run(COMMIT_SHA=commit)

    assert fixed.outcome == "Succeeded", fixed.log
    assert boxes(worker.file(TASKS)) == ["x"] * 4


def test_only_a_check_is_open(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan("- [x] 1. Parse\n- [ ] 2. Final checkpoint - Ensure all tests pass\n")

    finished = agent.build(commit, {2: "idle"})

    assert (finished.outcome, agent.asked) == ("Succeeded", [2]), finished.log
    assert boxes(worker.file(TASKS)) == ["x", "x"]
    assert worker.repository.git.run("log", "-1", "--format=%s", BRANCH).decode().strip() == (
        "Complete the checks of feature-discounts"
    )


def test_open_task_with_passing_check_is_no_change(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan("- [ ] 1. Parse\n- [ ] 2. Checkpoint\n")

    finished = agent.build(commit, {1: "only tick", 2: "idle"})

    assert (finished.outcome, agent.asked) == ("NoChanges", [1, 2]), finished.log
    require_nothing_pushed(worker, commit, finished)


@pytest.mark.parametrize("checks", ["", "- [ ] 3. Checkpoint\n"])
def test_task_added_by_other_push_is_not_skipped(worker: Worker, checks: str) -> None:
    agent = ActingAgent(worker)
    plan = f"- [ ] 1. Parse\n\n{checks}\nNotes\n"
    commit = agent.plan(plan)

    def push_first(operation: str) -> None:
        if operation == "git-receive-pack" and worker.head() == commit:
            worker.repository.git.commit(BRANCH, {TASKS: f"{plan}\n1. [ ] By a person\n"}, "By a person")

    worker.github.on_request = push_first

    finished = agent.build(commit, {3: "idle"})

    assert finished.outcome == "Incomplete", finished.log
    assert "1 of " in finished.exports["OUTCOME_REASON"]
    assert "the other push opened them" in finished.exports["OUTCOME_REASON"]
    assert worker.repository.git.run("log", "-1", "--format=%s", BRANCH).decode() == "By a person\n"
    assert boxes(worker.file(TASKS, worker.checkpoint())) == ["x", *(" " * bool(checks)), " "]


def test_push_reads_the_list_in_the_commit(worker: Worker) -> None:
    """Whatever happened before, a commit with an open task cannot be pushed."""
    lease = Lease("work-item-processor-lock", EXECUTION, 1, expires_at=0)
    request = BuildRequest("acme/shop", BRANCH, worker.commit, TASKS.rpartition("/")[0], 1, lease)
    credentials, parent = GitCredentials("git", PASSWORD), {"PATH": os.environ["PATH"]}
    checkout = check_out(request, worker.folder / "workspace", worker.github.git_url, credentials, parent)
    open_plan, done_plan = b"- [x] 1. Parse\n- [ ] 2. Print\n- [ ]* 3. Post\n", b"- [x] 1. Parse\n- [ ]* 3. Post\n"

    def commit(plan: bytes) -> str:
        tree = with_file(checkout, TASKS, plan)
        return checkout.git.text("commit-tree", tree, "-p", worker.commit, "-m", "Work")

    with pytest.raises(BuildStopped) as caught:
        publish(checkout, commit(open_plan), Checkpoint(request, checkout, None, print), TASKS)
    assert caught.value.outcome is Outcome.INCOMPLETE
    assert caught.value.reason.startswith("1 of 2 tasks done: 2 Print is open in ")
    assert worker.head() == worker.commit

    publish(checkout, complete := commit(done_plan), Checkpoint(request, checkout, None, print), TASKS)
    assert worker.head() == complete


def test_check_survives_rebase(worker: Worker) -> None:
    agent = ActingAgent(worker)
    commit = agent.plan("- [ ] 1. Parse\n- [ ] 2. Checkpoint\n")

    def push_first(operation: str) -> None:
        if operation == "git-receive-pack" and worker.head() == commit:
            worker.repository.git.commit(BRANCH, {"NEWS.md": "By a person.\n"}, "By a person")

    worker.github.on_request = push_first

    finished = agent.build(commit, {2: "idle"})

    assert finished.outcome == "Succeeded", finished.log
    assert boxes(worker.file(TASKS)) == ["x", "x"]
    assert worker.file("NEWS.md") == "By a person.\n"
