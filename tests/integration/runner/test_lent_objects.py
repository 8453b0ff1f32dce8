"""What the agent and the tests can read by hash: what their commit reaches, and nothing else that the worker has."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from hashlib import sha1
from pathlib import Path

import pytest

from kiro_local.github.model import Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.runner.repository import adopt
from kiro_worker.runner.repository.agent_repository import create_agent_repository
from kiro_worker.runner.repository.checkout import Checkout, check_out
from kiro_worker.runner.repository.commit import commit_turn, tree_of_files
from kiro_worker.runner.repository.commit_style import CommitMessage
from kiro_worker.runner.request import BuildRequest
from tests.support.builder import Builder, needs_linux, printed
from tests.support.worker import BRANCH, PASSWORD


def blob(text: str) -> str:
    """Return the hash of a blob."""
    return sha1(b"blob %d\0%s" % (len(text), text.encode()), usedforsecurity=False).hexdigest()


@pytest.fixture
def open_workspace(tmp_path: Path) -> Path:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return workspace


@pytest.fixture
def repository(github: StandInGitHub) -> Repository:
    repository = github.board.add_repository("acme/shop")
    repository.git.commit("main", {"README.md": "# old\n"}, "Begin")
    repository.git.commit("main", {"README.md": "# shop\n"}, "Continue")
    repository.git.commit(BRANCH, {"shop.py": "PRICE = 1\n"}, "Change", base="main")
    repository.git.commit("main", {"secret.py": "of another branch\n"}, "Go on")
    return repository


@pytest.fixture
def request_(repository: Repository) -> BuildRequest:
    lease = Lease("work-item-processor-lock", "arn:aws:states:x:1:execution:w:run-1", 1, expires_at=0)
    return BuildRequest("acme/shop", BRANCH, repository.git.head_of(BRANCH) or "", ".kiro/specs/x", 1, lease)


@pytest.fixture
def checkout(github: StandInGitHub, request_: BuildRequest, open_workspace: Path) -> Checkout:
    credentials = GitCredentials("git", PASSWORD)
    return check_out(request_, open_workspace, github.git_url, credentials, {"PATH": os.environ["PATH"]})


def git(folder: Path, *words: str, stdin: str = "") -> str:
    """Run git in the agent's repository. Returns its output; empty if it fails."""
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.invalid")
    done = subprocess.run(["git", *identity, *words], cwd=folder, input=stdin, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def commit(checkout: Checkout, log: list[str]) -> str:
    """Commit what is in the checkout, as the runner does after a turn."""
    tree = tree_of_files(checkout, log.append)
    return commit_turn(checkout, checkout.commit, tree, tree, CommitMessage("Work", "", ()), log.append)


def reopened(checkout: Checkout, request: BuildRequest, commit: str) -> Path:
    """Return the folder with a new repository for the agent or the tests at ``commit``."""
    (checkout.folder / ".git").rename(checkout.folder.parent / f"old-{commit}")
    create_agent_repository(checkout.git, replace(request, commit=commit))
    return checkout.folder


def test_repository_has_all_of_its_commit(checkout: Checkout, request_: BuildRequest) -> None:
    (checkout.folder / "new.py").write_text("NEW = 1\n")
    (checkout.folder / "folder").mkdir()
    (checkout.folder / "folder" / "README.md").write_text("# shop\n")
    head = commit(checkout, [])

    folder = reopened(checkout, request_, head)

    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "log", "--format=%s").splitlines() == ["Work", "Change", "Continue", "Begin"]
    assert git(folder, "rev-list", "--count", "HEAD") == "4"
    assert git(folder, "describe", "--always", "--dirty") == head[:7]
    assert git(folder, "show", "--format=", "--name-only") == "folder/README.md\nnew.py"
    assert git(folder, "rev-list", "--objects", "HEAD", "--missing=print").count("?") == 1, "the old README"
    assert git(folder, "diff", "HEAD~1", "--stat").endswith("2 insertions(+)")


def test_repository_has_nothing_else(checkout: Checkout, request_: BuildRequest) -> None:
    (checkout.folder / "refused.py").write_text("refused\n")
    tree_of_files(checkout, print)
    (checkout.folder / "refused.py").unlink()
    (checkout.folder / "kept.py").write_text("kept\n")
    head = commit(checkout, [])
    default = checkout.default
    assert checkout.git.succeeds("cat-file", "-e", blob("refused\n")), "the trusted repository has it"
    assert checkout.git.succeeds("cat-file", "-e", default)

    folder = reopened(checkout, request_, head)

    assert not git(folder, "cat-file", "-t", blob("refused\n"))
    assert not git(folder, "cat-file", "-t", default)
    assert git(folder, "cat-file", "-p", blob("kept\n")) == "kept"
    assert git(folder, "cat-file", "-p", blob("PRICE = 1\n")) == "PRICE = 1"


def test_rebased_work_is_complete(checkout: Checkout, request_: BuildRequest) -> None:
    """A repository whose commit descends from the pinned one through history that was fetched later."""
    other = checkout.git.text("rev-parse", f"{checkout.default}^{{tree}}")
    head = checkout.git.text("commit-tree", other, "-p", checkout.commit, "-p", checkout.default, "-m", "Merge")

    folder = reopened(checkout, request_, head)

    assert git(folder, "rev-list", "--count", "HEAD") == "5"
    assert git(folder, "ls-tree", "--name-only", "HEAD") == "README.md\nsecret.py"


def unrelated_commit(folder: Path) -> str:
    orphan = git(folder, "commit-tree", git(folder, "mktree"), "-m", "out of nowhere")
    git(folder, "update-ref", "HEAD", orphan)
    return orphan


def test_unrelated_commit_does_not_enter_trusted_repository(checkout: Checkout) -> None:
    orphan, log = unrelated_commit(checkout.folder), list[str]()
    (checkout.folder / "new.py").write_text("NEW = 1\n")

    head = commit(checkout, log)

    assert "the agent's own commits are not kept" in " ".join(log)
    assert checkout.git.text("rev-parse", f"{head}^") == checkout.commit
    assert not checkout.git.succeeds("cat-file", "-e", orphan)
    assert not list(checkout.git.directory.glob("incoming-*"))


def test_alternates_of_agent_are_not_followed(checkout: Checkout, tmp_path: Path) -> None:
    """Whoever can read it decides, and that would be root."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    (other / "secret").write_text("of another repository\n")
    git(other, "add", "secret")
    git(other, "commit", "-m", "Secret")
    secret = git(other, "rev-parse", "HEAD")
    with (checkout.folder / ".git" / "objects" / "info" / "alternates").open("a") as alternates:
        alternates.write(f"{other / '.git' / 'objects'}\n")
    tree = git(checkout.folder, "rev-parse", f"{checkout.commit}^{{tree}}")
    merge = git(checkout.folder, "commit-tree", tree, "-p", checkout.commit, "-p", secret, "-m", "Merge")
    git(checkout.folder, "update-ref", "HEAD", merge)
    (checkout.folder / "new.py").write_text("NEW = 1\n")
    log: list[str] = []

    head = commit(checkout, log)

    assert "the agent's own commits are not kept" in " ".join(log)
    assert checkout.git.text("rev-parse", f"{head}^") == checkout.commit
    assert not checkout.git.succeeds("cat-file", "-e", secret)


@pytest.mark.parametrize(
    ("limit", "value", "reason"), [("MAX_PACK_BYTES", 100, "larger than"), ("MAX_COMMITS", 1, "more than 1 commits")]
)
def test_too_much_history_is_not_kept(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, reason: str
) -> None:
    monkeypatch.setattr(adopt, limit, value)
    for number in range(2):
        (checkout.folder / "new.py").write_text(os.urandom(200).hex())
        git(checkout.folder, "add", "new.py")
        git(checkout.folder, "commit", "-m", f"Step {number}")
    own, log = git(checkout.folder, "rev-parse", "HEAD"), list[str]()

    head = commit(checkout, log)

    assert reason in " ".join(log)
    assert checkout.git.text("rev-parse", f"{head}^") == checkout.commit
    assert not checkout.git.succeeds("cat-file", "-e", own)


def test_agents_commits_are_adopted(checkout: Checkout) -> None:
    (checkout.folder / "new.py").write_text("NEW = 1\n")
    git(checkout.folder, "add", "new.py")
    git(checkout.folder, "commit", "-m", "My step")
    (checkout.folder / "more.py").write_text("MORE = 1\n")

    head = commit(checkout, [])

    assert checkout.git.text("log", "-2", "--format=%s", head).splitlines() == ["Work", "My step"]


ORPHAN = "left by an earlier turn\n"
LEAVE_ORPHAN = f"""
def git(*words, text=""):
    return subprocess.run(["git", *words], input=text, check=True, capture_output=True, text=True).stdout.strip()
oid = git("hash-object", "-w", "--stdin", text={ORPHAN!r})
tree = git("mktree", text=f"100644 blob {{oid}}\\tx\\n")
git("update-ref", "HEAD", git("commit-tree", tree, "-m", "out of nowhere"))
print("readable", subprocess.run(["git", "cat-file", "-e", oid]).returncode)
with open("shop/notes.py", "a") as notes:
    notes.write("NOTES = 1\\n")
"""


@needs_linux[0]
@needs_linux[1]
def test_gate_cannot_read_what_agent_left(builder: Builder) -> None:
    look = (
        f"git cat-file -e {blob(ORPHAN)} 2>/dev/null; echo orphan $?; git log --format=%s | wc -l;"
        " git describe --always; git status --porcelain; echo Ran 1 test in 0s"
    )

    finished = builder.build(LEAVE_ORPHAN, test=["sh", "-c", look])

    assert finished.outcome == "Succeeded", finished.log
    assert "readable 0" in printed(finished, "[agent] ")
    assert printed(finished, "[tests] ")[1:4] == ["orphan 1", "3", finished.exports["RESULT_COMMIT"][:7]]
