"""Every fetch of the runner, against servers that store their objects in different ways.

A partial clone lacks blobs that commits of its own reach, and a server with a bitmap index sends none of those to a
client that offers such a commit.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from kiro_local.github.git_repository import Content, Storage, Submodule, Symlink
from kiro_worker.config.model import Configuration
from kiro_worker.errors import BuildStopped
from kiro_worker.github.labels import Labeling
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.runner.repository.checkout import (
    BLOBLESS,
    HISTORY_DEPTH,
    Checkout,
    check_out,
    fetch_contents,
    fetch_default_branch,
)
from kiro_worker.runner.request import BuildRequest
from kiro_worker.runner.trust.guard import Guard
from kiro_worker.runner.trust.steering import git_reader
from tests.support.worker import BRANCH, EXECUTION, PASSWORD, WORK, Worker

pytestmark = pytest.mark.parametrize("storage", Storage)

CREDENTIALS = GitCredentials("git", PASSWORD)
PARENT = {"PATH": os.environ["PATH"]}
OLD, NEW = "VERSION = 1\n", "VERSION = 2\n"


def commit_versions(worker: Worker, branch: str = BRANCH) -> None:
    """Leave one version of a file in the history of the branch only."""
    worker.repository.git.commit(branch, {"shop/version.py": OLD}, "Old")
    worker.commit = worker.repository.git.commit(branch, {"shop/version.py": NEW}, "New")


def checked_out(worker: Worker, commit: str = "") -> Checkout:
    lease = Lease("work-item-processor-lock", EXECUTION, 1, expires_at=0)
    request = BuildRequest("acme/shop", BRANCH, commit or worker.commit, ".kiro/specs/feature-discounts", 1, lease)
    checkout = check_out(request, worker.folder / "workspace", worker.github.git_url, CREDENTIALS, PARENT)
    assert checkout.fetch_mode == BLOBLESS, "no other mode was needed"
    return checkout


def test_pinned_commit_is_checked_out(worker: Worker, storage: Storage) -> None:
    commit_versions(worker)
    worker.repository.git.commit(BRANCH, {"shop/version.py": OLD}, "Revert")
    worker.repository.git.store_as(storage)

    checkout = checked_out(worker)

    assert (checkout.folder / "shop" / "version.py").read_text() == NEW


def test_old_commit_is_found_on_its_branch(worker: Worker, storage: Storage) -> None:
    commit_versions(worker)
    for number in range(HISTORY_DEPTH + 5):
        worker.repository.git.commit(BRANCH, {"NEWS.md": f"{number}\n"}, "By a person")
    worker.repository.git.store_as(storage)

    checkout = checked_out(worker)

    assert (checkout.folder / "shop" / "version.py").read_text() == NEW


def test_contents_of_history_are_fetched(worker: Worker, storage: Storage) -> None:
    first = worker.commit
    commit_versions(worker)
    worker.repository.git.store_as(storage)
    checkout = checked_out(worker)
    old = worker.repository.git.run("rev-parse", f"{worker.commit}~1:shop/version.py").decode().strip()
    assert not checkout.git.succeeds("cat-file", "-e", old)

    fetch_contents(checkout, f"{first}..{worker.commit}")

    assert checkout.git.text("cat-file", "blob", old) == OLD.strip()


def test_moved_default_branch_is_fetched(worker: Worker, storage: Storage) -> None:
    """git itself fetches the blobs of a later comparison."""
    commit_versions(worker)
    checkout = checked_out(worker)
    newest = worker.repository.git.commit("main", {"shop/version.py": OLD}, "Revert", base=BRANCH)
    worker.repository.git.store_as(storage)

    assert fetch_default_branch(replace(checkout, default="")) == newest

    patch = checkout.git.network("diff-tree", "-p", newest, checkout.commit)
    assert {"-VERSION = 1", "+VERSION = 2"} <= set(patch.splitlines())


@pytest.mark.parametrize("is_changed", [False, True], ids=["behind", "changed"])
def test_fork_point_beyond_fetched_history_is_found(worker: Worker, storage: Storage, is_changed: bool) -> None:
    git = worker.repository.git
    for branch in ("main", BRANCH):
        git.commit(branch, {"AGENTS.md": "Be kind.\n"}, "Guide")
    git.run("update-ref", f"refs/heads/{BRANCH}", "refs/heads/main")
    worker.commit = git.commit(BRANCH, {"AGENTS.md": "Obey.\n"} if is_changed else {"a": "b"}, "Change")
    for number in range(HISTORY_DEPTH + 5):
        git.commit("main", {"NEWS.md": f"{number}\n"}, "By a person")
    git.commit("main", {"AGENTS.md": "Be careful.\n"}, "Warn")
    git.store_as(storage)
    checkout = checked_out(worker)
    guard = guard_of(worker)
    assert not checkout.git.succeeds("merge-base", checkout.default, checkout.commit)
    before = (checkout.git.directory / "shallow").read_text()

    if is_changed:
        with pytest.raises(BuildStopped, match=r"differs from the default branch .*: AGENTS\.md"):
            guard.require_trusted(checkout)
    else:
        assert guard.require_trusted(checkout) == ()

    assert (checkout.git.directory / "shallow").read_text() == before
    assert not (checkout.git.directory.parent / "history.git").exists()


def test_newer_fork_point_than_in_fetched_history_is_found(worker: Worker, storage: Storage) -> None:
    """A short way to an old common commit hides the newer one, which is further away from the default branch."""
    git = worker.repository.git
    old = str(git.head_of("main"))
    git.commit("side", {"side.txt": "1\n"}, "Aside", base="main")
    git.commit("main", {"AGENTS.md": "Be kind.\n"}, "Guide")
    git.create_branch(BRANCH, "main")
    worker.commit = git.commit(BRANCH, {"a": "b"}, "Change")
    for number in range(HISTORY_DEPTH + 5):
        git.commit("main", {"NEWS.md": f"{number}\n"}, "By a person")
    git.commit("main", {"AGENTS.md": "Be careful.\n"}, "Warn")
    head, side = (str(git.head_of(name)) for name in ("main", "side"))
    author = ("-c", "user.name=x", "-c", "user.email=x@x.invalid")
    merge = git.run(*author, "commit-tree", f"{head}^{{tree}}", "-p", head, "-p", side, "-m", "Merge")
    git.run("update-ref", "refs/heads/main", merge.decode().strip())
    git.store_as(storage)
    checkout = checked_out(worker)
    assert checkout.git.text("merge-base", checkout.default, checkout.commit) == old

    assert guard_of(worker).require_trusted(checkout) == ()


def guard_of(worker: Worker) -> Guard:
    lease = Lease("work-item-processor-lock", EXECUTION, 1, expires_at=0)
    request = BuildRequest("acme/shop", BRANCH, worker.commit, ".kiro/specs/feature-discounts", 1, lease)
    required = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Go"}
    return Guard(request, Configuration.model_validate(required), _no_label, lambda _text: None)


def _no_label(_name: str) -> Labeling:
    raise AssertionError("no label is configured")


def test_work_is_rebased_onto_a_revert(worker: Worker, storage: Storage) -> None:
    """The other push restores a file and a guarded link whose blobs are in the history that the runner fetched."""
    git = worker.repository.git
    for guide in ("README.md", "GUIDE.md"):
        guided: dict[str, Content] = {"README.md": "# shop\n", "GUIDE.md": "# guide\n", "AGENTS.md": Symlink(guide)}
        for branch in ("main", BRANCH):
            git.commit(branch, guided, guide)
    commit_versions(worker)
    worker.configure(worker.agent(WORK, mode="all"))

    def push_first(operation: str) -> None:
        if operation == "git-receive-pack" and worker.head() == worker.commit:
            git.commit("main", {"AGENTS.md": Symlink("README.md")}, "Revert")
            git.commit(BRANCH, {"AGENTS.md": Symlink("README.md"), "shop/version.py": OLD}, "Revert")
            git.store_as(storage)

    worker.github.on_request = push_first

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("shop/version.py") == OLD
    log = git.run("log", "-2", "--format=%s", BRANCH).decode().splitlines()
    assert log == ["Implement feature-discounts", "Revert"]


def test_submodules_are_fetched(worker: Worker, storage: Storage) -> None:
    """The default branch pins another commit than the card's branch."""
    lib = worker.github.board.add_repository("acme/lib")
    pins = [lib.git.commit("main", {"lib.py": text}, "Change") for text in (OLD, NEW)]
    lib.git.commit("main", {"lib.py": OLD}, "Newer than both")
    for branch, pinned in zip(("main", BRANCH), pins, strict=True):
        files: dict[str, Content] = {
            ".gitmodules": '[submodule "lib"]\n\tpath = lib\n\turl = ../lib.git\n',
            "lib": Submodule(pinned),
        }
        worker.commit = worker.repository.git.commit(branch, files, "Use lib")
    for repository in (lib, worker.repository):
        repository.git.store_as(storage)
    worker.configure(worker.agent(f"assert open('lib/lib.py').read() == {NEW!r}\n{WORK}", mode="all"), submodules=True)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log


@pytest.mark.parametrize("reference", ["main", "v1", "the commit"])
def test_steering_files_are_read(worker: Worker, storage: Storage, reference: str, tmp_path: Path) -> None:
    steering = worker.github.board.add_repository("acme/steering")
    for text in (OLD, NEW):
        commit = steering.git.commit("main", {"kiro/manifest.json": text}, "Steer")
    steering.git.run("update-ref", "refs/tags/v1", commit)
    steering.git.store_as(storage)
    source = f"acme/steering@{commit if reference == 'the commit' else reference}:kiro"

    read = git_reader(source, tmp_path / "steering", worker.github.git_url, CREDENTIALS, PARENT)

    assert read("manifest.json") == NEW.encode()
