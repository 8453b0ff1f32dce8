"""The tags and the base that tests find in their repository, as tools for versions and comparisons need them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kiro_local.github.model import Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.runner.repository.checkout import Checkout, check_out
from kiro_worker.runner.request import BuildRequest
from tests.support.worker import BRANCH, PASSWORD


@pytest.fixture
def repository(github: StandInGitHub) -> Repository:
    return github.board.add_repository("acme/shop")


def check_out_branch(github: StandInGitHub, repository: Repository, folder: Path) -> Checkout:
    lease = Lease("work-item-processor-lock", "arn:aws:states:x:1:execution:w:run-1", 1, expires_at=0)
    request = BuildRequest("acme/shop", BRANCH, repository.git.head_of(BRANCH) or "", ".kiro/specs/x", 1, lease)
    credentials = GitCredentials("git", PASSWORD)
    workspace = folder / "workspace"
    workspace.mkdir()
    environment = {"PATH": os.environ["PATH"]}
    return check_out(request, workspace, github.git_url, credentials, environment, with_references=True)


def git(checkout: Checkout, *words: str) -> str:
    """Run git in the agent's repository."""
    done = subprocess.run(["git", *words], cwd=checkout.folder, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else done.stderr


def test_tags_of_history_and_base_are_there(github: StandInGitHub, repository: Repository, tmp_path: Path) -> None:
    first = repository.git.commit("main", {"shop.py": "PRICE = 1\n", "README.md": "# shop\n"}, "Begin")
    repository.git.run("-c", "user.name=x", "-c", "user.email=x@example.com", "tag", "-m", "One", "v1.0", first)
    base = repository.git.commit("main", {"shop.py": "PRICE = 2\n"}, "Continue")
    repository.git.run("tag", "plain", base)
    repository.git.commit(BRANCH, {"shop.py": "PRICE = 3\n"}, "Change", base="main")
    other = repository.git.commit("main", {"secret.py": "of another branch\n"}, "Go on")
    repository.git.run("tag", "v2.0", other)

    checkout = check_out_branch(github, repository, tmp_path)

    assert git(checkout, "tag", "--list").split() == ["plain", "v1.0"]
    assert git(checkout, "describe").startswith("v1.0-2-g")
    assert git(checkout, "describe", "--tags").startswith("plain-1-g")
    assert git(checkout, "rev-parse", "origin/main", "origin/HEAD").split() == [base, base]
    assert "-PRICE = 2\n+PRICE = 3" in git(checkout, "diff", "origin/main...HEAD")
    assert git(checkout, "fsck", "--no-dangling", "--connectivity-only").count("error") == 0
    assert "of another branch" not in git(checkout, "cat-file", "-p", f"{other}:secret.py")
    assert git(checkout, "status", "--porcelain") == ""


def test_tag_of_older_history_is_fetched(github: StandInGitHub, repository: Repository, tmp_path: Path) -> None:
    """Farther back than the history that every checkout has, but not without limit."""
    first = repository.git.commit("main", {"shop.py": "PRICE = 1\n"}, "Begin")
    repository.git.run("tag", "v1.0", first)
    head, tree = first, repository.git.run("rev-parse", f"{first}^{{tree}}").decode().strip()
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    for number in range(60):
        words = ("commit-tree", "-m", f"Commit {number}", "-p", head, tree)
        head = repository.git.run(*identity, *words).decode().strip()
    repository.git.run("update-ref", f"refs/heads/{BRANCH}", head)

    checkout = check_out_branch(github, repository, tmp_path)

    assert git(checkout, "describe", "--tags").startswith("v1.0-60-g")


def test_repository_without_tags_costs_no_fetch(github: StandInGitHub, repository: Repository, tmp_path: Path) -> None:
    repository.git.commit("main", {"shop.py": "PRICE = 1\n"}, "Begin")
    repository.git.commit(BRANCH, {"shop.py": "PRICE = 2\n"}, "Change", base="main")

    checkout = check_out_branch(github, repository, tmp_path)

    assert git(checkout, "tag", "--list") == ""
    assert git(checkout, "log", "--oneline", "origin/main..HEAD").count("\n") == 0


@pytest.mark.parametrize("name", ["a$(touch owned)", "ünïcode", "-x", "x@{1}"])
def test_unusual_tag_is_left_out(github: StandInGitHub, repository: Repository, tmp_path: Path, name: str) -> None:
    first = repository.git.commit(BRANCH, {"shop.py": "PRICE = 1\n"}, "Begin")
    repository.git.commit("main", {"shop.py": "PRICE = 1\n"}, "Begin")
    folder = repository.git.run("rev-parse", "--absolute-git-dir").decode().strip()
    with Path(folder, "packed-refs").open("a") as packed:
        packed.write(f"{first} refs/tags/{name}\n")

    assert git(check_out_branch(github, repository, tmp_path), "tag", "--list") == ""
