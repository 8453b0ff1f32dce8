from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kiro_local.github import seed
from kiro_local.github.board import Board
from kiro_local.github.git_repository import GitRepository, git_environment, read_directory
from kiro_local.github.model import PullRequest
from kiro_local.github.tokens import Tokens

DOCUMENT: dict[str, Any] = {
    "tokens": [{"token": "ghp_a", "login": "robot", "scopes": ["repo"]}, {"token": "github_pat", "scopes": None}],
    "repositories": [
        {
            "name": "acme/shop",
            "template": "shop",
            "files": {"LICENSE": "MIT\n"},
            "collaborators": {"bob": "MAINTAIN"},
            "branches": [
                {"name": "feature/a", "files": {"a.txt": "a", "LICENSE": None}, "message": "Add a"},
                {"name": "feature/b", "from": "feature/a"},
            ],
            "issues": [{"title": "An issue", "linkedBranches": ["feature/a"]}, {"title": "Another", "number": 40}],
            "pullRequests": [
                {
                    "head": "feature/a",
                    "author": "alice",
                    "authorAssociation": "OWNER",
                    "labels": [{"name": "reviewed", "by": "bob"}, {"name": "old", "by": None}],
                },
                {"head": "mallory:feature/x", "title": "Free money", "authorAssociation": "NONE"},
            ],
        },
        {"name": "mallory/shop", "forkOf": "acme/shop", "branches": [{"name": "feature/x", "files": {"x": "x"}}]},
        {"name": "acme/old", "files": {"a": "a"}, "archived": True, "defaultBranch": "trunk"},
    ],
    "projects": [
        {
            "owner": "acme",
            "number": 4,
            "title": "Deliveries",
            "statusField": "State",
            "statuses": ["Open", "Ready"],
            "cards": [
                {"issue": "acme/shop#1", "status": "Ready", "fields": {"Branch": "feature/a"}},
                {"pullRequest": "acme/shop#41", "status": "Open"},
                {"draft": "An idea", "archived": True},
                {"redacted": True, "status": "Ready"},
            ],
        },
        {"owner": "bob", "ownerType": "user"},
    ],
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    template = tmp_path / "shop"
    (template / "src").mkdir(parents=True)
    (template / "src/run.sh").write_text("#!/bin/sh\n")
    (template / "src/run.sh").chmod(0o755)
    (template / "link").symlink_to("src/run.sh")
    (template / "__pycache__").mkdir()
    (template / "__pycache__/x.pyc").write_bytes(b"x")
    return tmp_path


def loaded(base: Path, name: str = "github", document: dict[str, Any] = DOCUMENT) -> Board:
    board = Board(base / name)
    seed.load(board, document, base=base)
    return board


def test_document_becomes_a_board(base: Path) -> None:
    board = loaded(base)
    shop = board.repository("acme/shop")
    assert shop is not None
    files = shop.git.run("ls-tree", "-r", "--format=%(objectmode) %(path)", "main").decode().splitlines()
    assert files == ["100644 LICENSE", "120000 link", "100755 src/run.sh"]
    assert shop.git.run("ls-tree", "-r", "--name-only", "feature/a").decode().split() == ["a.txt", "link", "src/run.sh"]
    assert shop.git.head_of("feature/b") == shop.git.head_of("feature/a")
    assert [(each.number, each.is_cross_repository) for each in shop.pull_requests] == [(41, False), (42, True)]
    old = board.repository("acme/old")
    assert old is not None
    assert (old.is_archived, old.git.default_branch()) == (True, "trunk")
    project = board.project("acme", 4)
    assert project is not None
    assert [(item.type, item.value("State"), item.is_archived) for item in project.items] == [
        ("ISSUE", "Ready", False), ("PULL_REQUEST", "Open", False), ("DRAFT_ISSUE", None, True),
        ("REDACTED", "Ready", False),
    ]  # fmt: skip
    assert project.items[0].value("Branch") == "feature/a"
    assert isinstance(project.items[1].content, PullRequest)
    bob = board.project("bob", 1)
    assert bob is not None
    assert bob.owner.typename == "User"


def test_same_document_gives_same_commits(base: Path) -> None:
    first, second = loaded(base, "one").repository("acme/shop"), loaded(base, "two").repository("acme/shop")
    assert first is not None
    assert second is not None
    assert first.git.refs() == second.git.refs()


def test_dump_and_load_round_trip(base: Path) -> None:
    document = seed.dump(loaded(base))
    again = seed.dump(loaded(base, "again", json.loads(json.dumps(document))))
    for repository in document["repositories"] + again["repositories"]:
        del repository["clone"]
    assert again == document


def test_tokens_are_loaded(base: Path) -> None:
    tokens = Tokens()
    seed.load(Board(base / "github"), {"tokens": DOCUMENT["tokens"]}, tokens=tokens)
    first, second = tokens.find("ghp_a"), tokens.find("github_pat")
    assert first is not None
    assert (first.login, first.scopes) == ("robot", frozenset({"repo"}))
    assert second is not None
    assert second.scopes is None


def test_existing_repository_is_copied(base: Path) -> None:
    source = base / "source"
    subprocess.run(["git", "init", "--quiet", "--initial-branch=trunk", str(source)], check=True)
    (source / "a.txt").write_text("a")
    subprocess.run(["git", "-C", str(source), "add", "."], check=True)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    subprocess.run(["git", "-C", str(source), *identity, "commit", "--quiet", "-m", "A"], check=True)
    board = loaded(base, document={"repositories": [{"name": "acme/copy", "clone": "source"}]})
    copied = board.repository("acme/copy")
    assert copied is not None
    assert copied.git.default_branch() == "trunk"
    assert copied.git.run("ls-tree", "--name-only", "trunk").decode().split() == ["a.txt"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"repositories": [{"name": "shop"}]}, "name"),
        ({"repositories": [{"name": "../x/y"}]}, "name"),
        ({"repository": []}, "repository"),
        ({"projects": [{"owner": "acme", "color": "red"}]}, "color"),
    ],
)
def test_invalid_document_is_rejected(base: Path, document: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        loaded(base, document=document)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"repositories": [{"name": "a/b", "forkOf": "x/y"}]}, "there is no repository x/y"),
        ({"repositories": [{"name": "a/b"}, {"name": "A/B"}]}, "the repository A/B exists already"),
        ({"repositories": [{"name": "a/b", "template": "nowhere"}]}, "there is no directory"),
        ({"repositories": [{"name": "a/b", "pullRequests": [{"head": "x"}]}]}, "has no branch 'x'"),
        ({"repositories": [{"name": "a/b", "pullRequests": [{"head": "c:x"}]}]}, "c has no fork of a/b"),
        ({"projects": [{"owner": "a", "cards": [{"draft": "x", "status": "Nowhere"}]}]}, "no option 'Nowhere'"),
        ({"projects": [{"owner": "a", "cards": [{"draft": "x", "fields": {"Mood": "good"}}]}]}, "no field 'Mood'"),
        ({"projects": [{"owner": "a", "cards": [{}]}]}, "exactly one of"),
        ({"projects": [{"owner": "a", "cards": [{"issue": "a/b#1"}]}]}, "there is no repository a/b"),
        ({"repositories": [{"name": "a/b"}], "projects": [{"owner": "a", "cards": [{"issue": "a/b#1"}]}]}, "no issue"),
        ({"projects": [{"owner": "a"}, {"owner": "a"}]}, "has a project 1 already"),
    ],
)
def test_invalid_name_is_rejected(base: Path, document: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        loaded(base, document=document)


def test_user_git_settings_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (tmp_path / "home").mkdir()
    environment = git_environment(tmp_path / "home")
    assert not {name for name in environment if name.startswith(("GIT_DIR", "AWS_"))}
    repository = GitRepository.create(tmp_path / "a.git", environment)
    assert repository.commit("main", {"a": "a"}) == repository.head_of("main")


def test_git_directory_is_not_read(base: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(base / "shop")], check=True)
    assert sorted(read_directory(base / "shop")) == ["link", "src/run.sh"]
