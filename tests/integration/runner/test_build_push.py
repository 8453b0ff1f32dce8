"""The push to the branch: lost answers, concurrent pushes, refusals."""

from __future__ import annotations

import pytest

from kiro_local.github.git_repository import Content, Symlink
from kiro_local.github.push_rules import PushRule
from tests.support.worker import BRANCH, PASSWORD, WORK, Worker


def test_push_with_lost_answer_succeeds(worker: Worker) -> None:
    worker.configure(worker.agent(WORK, mode="all"))
    pushes = []

    def lose_answer(operation: str) -> None:
        if operation == "git-receive-pack":
            pushes.append(operation)
            if len(pushes) == 3:
                # After the push check and the checkpoint.
                worker.github.faults.add("lost_answer", "git-receive-pack")

    worker.github.on_request = lose_answer

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (0, "Succeeded"), finished.log
    assert worker.head() == finished.exports["RESULT_COMMIT"]


def move_the_branch(worker: Worker, files: dict[str, Content]) -> None:
    """Let a person push while the agent works, just before the worker's first push arrives."""
    before = worker.head()

    def push_first(operation: str) -> None:
        if operation == "git-receive-pack" and worker.head() == before:
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
    worker.configure(worker.agent(WORK, mode="all"), test=["sh", "-c", tests])
    move_the_branch(worker, {"theirs.txt": "1\n"})

    finished = worker.run()

    assert finished.outcome == "TestsFailed", finished.log
    assert finished.exports["TESTS_SUMMARY"] == "exit code 1"
    verdict = finished.result["tests"]
    assert (verdict["summary"], verdict["exitCode"], verdict["passed"]) == ("exit code 1", 1, False)


def test_conflicting_work_stays_on_checkpoint(worker: Worker) -> None:
    worker.configure(worker.agent(WORK, mode="all"))
    move_the_branch(worker, {"shop/notes.py": "THEIRS = 1\n"})

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "PushRejected"), finished.log
    assert "does not apply cleanly" in finished.exports["OUTCOME_REASON"]
    assert worker.repository.git.run("log", "-1", "--format=%s", BRANCH).decode().strip() == "by a person"
    assert worker.file("shop/notes.py", worker.checkpoint()) == "NOTES = 1\n"


@pytest.mark.parametrize(
    ("link", "pushed"),
    [
        ("deep/link", {"deep/sub": Symlink("..")}),
        ("escape", {"escape": Symlink("../../etc/passwd")}),
    ],
    ids=["by both pushes", "by the other push"],
)
def test_rebase_onto_link_that_leaves_is_not_pushed(worker: Worker, link: str, pushed: dict[str, Content]) -> None:
    """The agent's own link leads to a file of the repository until another push adds a link on its path."""
    make_link = "import os\nos.path.isdir('deep') or (os.mkdir('deep'), os.symlink('sub/../../x', 'deep/link'))\n"
    worker.configure(worker.agent(make_link + WORK, mode="all"))
    move_the_branch(worker, pushed)

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "CheckoutFailed"), finished.log
    assert f"leave the repository: '{link}'" in finished.exports["OUTCOME_REASON"]
    assert worker.repository.git.run("log", "-1", "--format=%s", BRANCH).decode().strip() == "by a person"
    assert worker.file("shop/notes.py", worker.checkpoint()).startswith("NOTES = 1\n")


def test_secret_in_rebased_patch_is_not_pushed(worker: Worker) -> None:
    """A patch also shows the lines around a change, and the other push wrote the secret into one of them."""
    lines = [f"{number}\n" for number in range(1, 9)]
    worker.repository.git.commit(BRANCH, {"list.txt": "".join(lines)}, "A list")
    append = "open('list.txt', 'a').write('more\\n')\n"
    worker.configure(worker.agent(append, mode="all"))
    move_the_branch(worker, {"list.txt": "".join([*lines[:5], f"{PASSWORD}\n", *lines[6:]])})

    finished = worker.run(COMMIT_SHA=worker.head())

    assert (finished.exit_code, finished.outcome) == (1, "GuardTripped"), finished.log
    assert "contains a secret of this installation" in finished.exports["OUTCOME_REASON"]
    assert worker.repository.git.run("log", "-1", "--format=%s", BRANCH).decode().strip() == "by a person"
    assert PASSWORD not in worker.file("list.txt", worker.checkpoint())


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


def test_deleted_branch_is_named(worker: Worker) -> None:
    worker.configure(worker.agent(WORK, mode="all"))

    def delete_first(operation: str) -> None:
        if operation == "git-receive-pack-refs" and worker.checkpoint() not in ("", worker.commit):
            worker.repository.git.delete_branch(BRANCH)

    worker.github.on_request = delete_first

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "PushRejected"), finished.log
    reason = finished.exports["OUTCOME_REASON"]
    assert "the branch was deleted during the build" in reason
    assert f"git push origin {worker.commit}:refs/heads/{BRANCH}" in reason
    assert "another push" not in reason
    assert finished.result["faultOwner"] == "card"
    assert worker.file("shop/notes.py", worker.checkpoint()) == "NOTES = 1\n"


def test_push_below_another_one_succeeds(worker: Worker) -> None:
    """The answer to the push is lost, and a person pushes on top before the worker looks."""
    worker.configure(worker.agent(WORK, mode="all"))
    worker.github.faults.add("lost_answer", "git-receive-pack", times=None)

    def push_on_top(operation: str) -> None:
        head = worker.head()
        if operation in ("git-upload-pack-refs", "git-receive-pack-refs") and head != worker.commit:
            worker.github.faults.clear()
            if worker.file("shop/notes.py", head) == "NOTES = 1\n" and not theirs:
                theirs.append(worker.repository.git.commit(BRANCH, {"theirs.txt": "1\n"}, "by a person"))

    theirs: list[str] = []
    worker.github.on_request = push_on_top

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (0, "Succeeded"), finished.log
    assert worker.head() == theirs[0]
    parent = worker.repository.git.run("rev-parse", f"{theirs[0]}^").decode().strip()
    assert finished.exports["RESULT_COMMIT"] == parent


@pytest.mark.parametrize(
    ("rule", "owner", "quoted"),
    [
        (PushRule.RULESET_SIGNATURES, "repository", "requires signed commits"),
        (PushRule.RESTRICTED, "repository", "the branch is protected"),
        (PushRule.WORKFLOW_SCOPE, "card", "refusing to allow a Personal Access Token to create or update workflow"),
    ],
)
def test_refusal_says_who_has_to_act(worker: Worker, rule: PushRule, owner: str, quoted: str) -> None:
    worker.configure(worker.agent(WORK, mode="all"))
    worker.repository.git.refuse_pushes(BRANCH, rule)

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "PushRejected"), finished.log
    assert quoted in finished.exports["OUTCOME_REASON"]
    assert finished.result["faultOwner"] == owner
    assert worker.head() == worker.commit


@pytest.mark.exhaustive  # waits for every retry
def test_outage_at_push_is_the_services(worker: Worker) -> None:
    worker.configure(worker.agent(WORK, mode="all"))

    def fail_at_the_end(operation: str) -> None:
        if operation == "git-receive-pack-refs" and worker.checkpoint():
            worker.github.faults.add("server_error", "git", times=None, status=503)

    worker.github.on_request = fail_at_the_end

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "WorkerFailed"), finished.log
    assert finished.exports["OUTCOME_REASON"].startswith("GitHubUnavailable: feature/discounts cannot be pushed")
    assert "returned error: 503" in finished.exports["OUTCOME_REASON"]
    assert finished.result["faultOwner"] == "service"
