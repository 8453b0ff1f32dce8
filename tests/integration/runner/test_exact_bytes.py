"""Files on disk have the bytes of their blobs, and blobs those of their files, whatever ``.gitattributes`` says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kiro_local.github.model import Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.runner.repository.checkout import Checkout, check_out
from kiro_worker.runner.repository.commit import tree_of_files
from kiro_worker.runner.request import BuildRequest
from tests.support.worker import BRANCH, PASSWORD

ATTRIBUTES = {
    "text": "* text",
    "auto": "* text=auto",
    "crlf": "* text=auto eol=crlf",
    "eol alone": "* eol=crlf",
    "line ends by the old name": "* crlf=input",
    "encoding": "* working-tree-encoding=UTF-16LE",
    "ident": "* ident",
    "filter": "* filter=evil",
    "macro": "[attr]evil text eol=crlf ident working-tree-encoding=UTF-16\n* evil",
    "one file": "a.py text eol=crlf ident working-tree-encoding=UTF-16",
    "export": "* export-subst",
}
CONTENTS = {
    "a.py": b"NAME = '$Id$'\nOTHER = 1\n",
    "crlf.txt": b"one\r\ntwo\r\n",
    "mixed.txt": b"one\r\ntwo\n",
    "expanded.txt": b"$Id: 0123456789abcdef0123456789abcdef01234567 $\n$Format:%H$\n",
    "utf16.txt": "\ufeffna\u00efve\n".encode("utf-16-le"),
    "binary.bin": bytes(range(256)),
    "empty": b"",
}


@pytest.fixture
def repository(github: StandInGitHub) -> Repository:
    return github.board.add_repository("acme/shop")


def checkout_of(github: StandInGitHub, repository: Repository, folder: Path, files: dict[str, bytes]) -> Checkout:
    repository.git.commit("main", {"README.md": "# shop\n"}, "Begin")
    commit = repository.git.commit(BRANCH, files, "Write", base="main")
    lease = Lease("work-item-processor-lock", "arn:aws:states:x:1:execution:w:run-1", 1, expires_at=0)
    request = BuildRequest("acme/shop", BRANCH, commit, ".kiro/specs/x", 1, lease)
    workspace = folder / "workspace"
    workspace.mkdir()
    parent = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    return check_out(request, workspace, github.git_url, GitCredentials("git", PASSWORD), parent)


def differing(checkout: Checkout, tree: str) -> list[str]:
    """Return the files that do not have the bytes of their blobs in ``tree``."""
    git = checkout.git
    names = git.run("ls-tree", "-r", "-z", "--name-only", tree).decode().split("\0")[:-1]
    return [name for name in names if (checkout.folder / name).read_bytes() != git.run("show", f"{tree}:{name}")]


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_checkout_has_bytes_of_commit(github: StandInGitHub, repository: Repository, tmp_path: Path, kind: str) -> None:
    files = {**CONTENTS, ".gitattributes": ATTRIBUTES[kind].encode() + b"\n"}

    checkout = checkout_of(github, repository, tmp_path, files)

    assert differing(checkout, checkout.commit) == []
    assert {name: (checkout.folder / name).read_bytes() for name in CONTENTS} == CONTENTS


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_tree_has_bytes_of_agents_files(
    github: StandInGitHub, repository: Repository, tmp_path: Path, kind: str
) -> None:
    checkout = checkout_of(github, repository, tmp_path, {"a.py": b"A = 1\n"})
    contents = {**CONTENTS, ".gitattributes": ATTRIBUTES[kind].encode() + b"\n", "deep/.gitattributes": b"* eol=crlf\n"}
    (checkout.folder / "deep").mkdir()
    for name, content in contents.items():
        (checkout.folder / name).write_bytes(content)

    tree = tree_of_files(checkout, print)

    assert {name: checkout.git.run("show", f"{tree}:{name}") for name in contents} == contents


@pytest.mark.parametrize("kind", ATTRIBUTES)
def test_agents_git_sees_no_change(github: StandInGitHub, repository: Repository, tmp_path: Path, kind: str) -> None:
    files = {**CONTENTS, ".gitattributes": ATTRIBUTES[kind].encode() + b"\n"}
    checkout = checkout_of(github, repository, tmp_path, files)
    for name in files:
        (checkout.folder / name).touch()

    done = subprocess.run(
        ["git", "status", "--porcelain"], cwd=checkout.folder, capture_output=True, text=True, check=True
    )

    assert done.stdout == ""
