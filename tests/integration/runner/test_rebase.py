"""Work that is rebased onto another push: a conflict is told apart from an outage of the server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.runner.repository.checkout import Checkout, check_out
from kiro_worker.runner.repository.commit import rebased
from kiro_worker.runner.repository.git import GitFailed
from kiro_worker.runner.repository.git_causes import Cause
from kiro_worker.runner.request import BuildRequest
from tests.support.worker import BRANCH, PASSWORD, WORK, Worker

OLD, WORKED, OTHER = "1\n2\n3\n4\n5\n", "1\n2\n3\n4\nfive\n", "one\n2\n3\n4\n5\n"


@pytest.fixture
def pushes(github: StandInGitHub) -> list[str]:
    """The commits of a file, of work on it, and of another push that changes it elsewhere."""
    git = github.board.add_repository("acme/shop").git
    git.commit("main", {"README.md": "# shop\n"}, "Begin")
    old = git.commit(BRANCH, {"list.txt": OLD}, "A list", base="main")
    worked = git.commit(BRANCH, {"list.txt": WORKED}, "Work on it")
    git.run("update-ref", "refs/heads/other", old)
    return [old, worked, git.commit("other", {"list.txt": OTHER}, "Another push")]


def checked_out(github: StandInGitHub, commit: str, workspace: Path) -> Checkout:
    """Check out the commit, without the contents of other commits."""
    lease = Lease("work-item-processor-lock", "arn:aws:states:x:1:execution:w:run-1", 1, expires_at=0)
    request = BuildRequest("acme/shop", BRANCH, commit, ".kiro/specs/x", 1, lease)
    credentials = GitCredentials("git", PASSWORD)
    checkout = check_out(request, workspace, github.git_url, credentials, {"PATH": os.environ["PATH"]})
    checkout.git.network("fetch", "--quiet", "--filter=blob:none", "origin", "+refs/heads/other:refs/other")
    return checkout


def test_commits_apply_with_contents_from_server(github: StandInGitHub, pushes: list[str], tmp_path: Path) -> None:
    old, worked, other = pushes
    checkout = checked_out(github, worked, tmp_path)

    moved = rebased(checkout, old, worked, other, print)

    assert checkout.git.text("show", f"{moved[worked]}:list.txt") == "one\n2\n3\n4\nfive"


def test_outage_is_no_conflict(github: StandInGitHub, pushes: list[str], tmp_path: Path) -> None:
    old, worked, other = pushes
    checkout = checked_out(github, worked, tmp_path)
    github.faults.add("server_error", "git", times=None, status=503)

    with pytest.raises(GitFailed) as failed:
        rebased(checkout, old, worked, other, print)

    assert failed.value.answer.cause is Cause.UNAVAILABLE


def test_conflict_is_no_outage(github: StandInGitHub, pushes: list[str], tmp_path: Path) -> None:
    old, worked, _ = pushes
    checkout = checked_out(github, worked, tmp_path)
    text = f"{OLD.replace('5', 'FIVE')}fatal: unable to access 'https://x/': The requested URL returned error: 503\n"
    tree = checkout.git.run("mktree", stdin=b"100644 blob %s\tlist.txt\n" % _blob(checkout, text)).decode().strip()
    other = checkout.git.run("commit-tree", tree, "-p", old, stdin=b"x").decode().strip()

    assert rebased(checkout, old, worked, other, print) == {}


def _blob(checkout: Checkout, text: str) -> bytes:
    return checkout.git.run("hash-object", "-w", "--stdin", stdin=text.encode()).strip()


def test_outage_during_rebase_is_the_services(worker: Worker) -> None:
    worker.configure(worker.agent(WORK, mode="all"))
    before, asked = worker.head(), list[str]()

    def move_the_branch(operation: str) -> None:
        if operation == "git-receive-pack" and worker.head() == before:
            worker.repository.git.commit(BRANCH, {"theirs.txt": "1\n"}, "by a person")
        elif operation == "git-upload-pack-refs" and worker.checkpoint():
            asked.append(operation)
            # The first two look up the branch after the rejected push, without and with credentials.
            if len(asked) == 3:
                worker.github.faults.add("server_error", "git", times=None, status=503)

    worker.github.on_request = move_the_branch

    finished = worker.run()

    assert (finished.outcome, finished.exports["OUTCOME_ERROR"]) == ("WorkerFailed", "GitHubUnavailable"), finished.log
    assert finished.exports["OUTCOME_OWNER"] == "service"
    assert "the work cannot be rebased onto its new head" in finished.exports["OUTCOME_REASON"]
    assert "changes.patch" in finished.result["remedy"]
    assert worker.file("shop/notes.py", worker.checkpoint()) == "NOTES = 1\n"
