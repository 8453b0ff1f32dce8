"""Trees that git cannot lay out or commit again: found at the checkout, before an agent could be blamed for them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kiro_local.github.git_repository import Content, Executable, Submodule, Symlink
from kiro_local.github.model import Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.errors import BuildStopped
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.outcomes import FaultOwner, Outcome
from kiro_worker.runner.repository.checkout import Checkout, check_out
from kiro_worker.runner.repository.layout import require_sound_layout
from kiro_worker.runner.request import BuildRequest
from tests.support.worker import PASSWORD, Worker

BRANCH = "feature/discounts"
FILE, FOLDER = b"100644", b"40000"
Entries = list[tuple[bytes, bytes, str]]


@pytest.fixture
def repository(github: StandInGitHub) -> Repository:
    repository = github.board.add_repository("acme/shop")
    repository.git.commit("main", {"README.md": "# shop\n"}, "Begin")
    repository.git.commit(BRANCH, {"shop.py": "PRICE = 1\n"}, "Change", base="main")
    return repository


def checked_out(github: StandInGitHub, repository: Repository, workspace: Path) -> Checkout:
    lease = Lease("work-item-processor-lock", "arn:aws:states:x:1:execution:w:run-1", 1, expires_at=0)
    commit = repository.git.head_of(BRANCH) or ""
    request = BuildRequest("acme/shop", BRANCH, commit, ".kiro/specs/feature-discounts", 1, lease)
    parent = {"PATH": os.environ["PATH"]}
    return check_out(request, workspace, github.git_url, GitCredentials("git", PASSWORD), parent)


def rejection(github: StandInGitHub, repository: Repository, workspace: Path) -> str:
    with pytest.raises(BuildStopped) as stopped:
        checked_out(github, repository, workspace)
    assert (stopped.value.outcome, stopped.value.owner) == (Outcome.CHECKOUT_FAILED, FaultOwner.REPOSITORY)
    assert "on the branch" in stopped.value.remedy, str(stopped.value)
    return stopped.value.reason


def write_object(repository: Repository, kind: str, content: bytes) -> str:
    words = ("hash-object", "-t", kind, "--literally", "-w", "--stdin")
    return repository.git.run(*words, stdin=content).decode().strip()


def write_tree(repository: Repository, entries: Entries) -> str:
    """Write a tree as no git command would: with any modes, names and order."""
    raw = b"".join(mode + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
    return write_object(repository, "tree", raw)


def push_tree(repository: Repository, entries: Entries) -> None:
    commit = repository.git.run(
        *("-c", "user.name=x", "-c", "user.email=x@example.invalid", "commit-tree", write_tree(repository, entries)),
        *("-p", f"refs/heads/{BRANCH}", "-m", "Strange"),
    )
    repository.git.run("update-ref", f"refs/heads/{BRANCH}", commit.decode().strip())


@pytest.mark.parametrize(
    ("mode", "name", "named"),
    [
        (FOLDER, b".git", "invalid path '.git/in'"),
        (FOLDER, b".GIT", "invalid path '.GIT/in'"),
        (FOLDER, b"git~1", "invalid path 'git~1/in'"),
        (FOLDER, ".g\u200cit".encode(), "invalid path '.g"),
        (FOLDER, b"..", "invalid path '../in'"),
        (FOLDER, b".", "invalid path './in'"),
        (FILE, b"..", "invalid path '..'"),
        (FILE, b".git\\config", "invalid path '.git\\config'"),
        (FILE, b"n" * 300, "File name too long"),
        (b"120000", b".gitmodules", "invalid path '.gitmodules'"),
    ],
)
def test_entry_that_git_cannot_write_is_named(
    github: StandInGitHub, repository: Repository, tmp_path: Path, mode: bytes, name: bytes, named: str
) -> None:
    blob = write_object(repository, "blob", b"x\n")
    inner = write_tree(repository, [(FILE, b"in", blob)])
    push_tree(repository, [(mode, name, inner if mode == FOLDER else blob)])

    reason = rejection(github, repository, tmp_path)

    assert reason.startswith(f"the files of {BRANCH} at ")
    assert named in reason
    assert len(reason) < 700
    packs = [request for request in github.requests.git("git-upload-pack") if request.status == 200]
    assert len(packs) <= 3, "no other fetch mode is tried"


def test_tree_that_server_cannot_send_is_named(github: StandInGitHub, repository: Repository, tmp_path: Path) -> None:
    push_tree(repository, [(FILE, b"", write_object(repository, "blob", b"x\n"))])

    with pytest.raises(
        BuildStopped, match=r"the server rejects the objects as malformed.*empty filename in tree"
    ) as stopped:
        checked_out(github, repository, tmp_path)

    assert (stopped.value.outcome, stopped.value.owner) == (Outcome.CHECKOUT_FAILED, FaultOwner.REPOSITORY)


def test_deep_folders_are_named(github: StandInGitHub, repository: Repository, tmp_path: Path) -> None:
    tree = write_tree(repository, [(FILE, b"in", write_object(repository, "blob", b"x\n"))])
    for _ in range(60):
        tree = write_tree(repository, [(FOLDER, b"d" * 100, tree)])
    push_tree(repository, [(FOLDER, b"d", tree)])

    assert "cannot create directory" in rejection(github, repository, tmp_path)


def test_link_to_overlong_name_is_named(github: StandInGitHub, repository: Repository, tmp_path: Path) -> None:
    push_tree(repository, [(b"120000", b"link", write_object(repository, "blob", b"n" * 5000))])

    assert "unable to create symlink link" in rejection(github, repository, tmp_path)


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ("duplicate", ": a"),
        ("file and folder", ": a"),
        ("unsorted", ": a"),
        ("slash", "unable to read tree"),
    ],
)
def test_entries_that_an_index_cannot_hold_are_named(
    github: StandInGitHub, repository: Repository, tmp_path: Path, shape: str, named: str
) -> None:
    one, two = (write_object(repository, "blob", content) for content in (b"1\n", b"2\n"))
    folder = write_tree(repository, [(FILE, b"in", one)])
    shapes: dict[str, Entries] = {
        "duplicate": [(FILE, b"a", one), (FILE, b"a", two)],
        "file and folder": [(FILE, b"a", one), (FOLDER, b"a", folder)],
        "unsorted": [(FILE, b"b", one), (FILE, b"a", two)],
        "slash": [(FILE, b"a/b", one)],
    }
    push_tree(repository, shapes[shape])

    assert named in rejection(github, repository, tmp_path)


def test_unknown_encoding_is_named(github: StandInGitHub, repository: Repository, tmp_path: Path) -> None:
    attributes = "*.txt working-tree-encoding=NO-SUCH-CODE\n"
    repository.git.commit(BRANCH, {".gitattributes": attributes, "a.txt": "x\n"}, "Attributes")

    assert "working-tree-encoding=NO-SUCH-CODE of a.txt does not exist" in rejection(github, repository, tmp_path)


@pytest.mark.parametrize(
    ("attributes", "content"),
    [
        ("*.txt working-tree-encoding=UTF-16\n", b"\xff\xfe\x00"),
        ("*.txt working-tree-encoding=UTF-16LE-BOM\n", b"x\n"),
        ("*.txt working-tree-encoding=SHIFT-JIS\n", b"x\n"),
        ("*.txt -working-tree-encoding\n", b"x\n"),
        ("*.txt text eol=crlf\n", b"a\r\nb\n"),
        ("*.txt text\n", b"a\r\nb\n"),
        ("*.txt ident\n", b"$Id: old $\n"),
    ],
)
def test_attribute_changes_no_content(
    github: StandInGitHub, repository: Repository, tmp_path: Path, attributes: str, content: bytes
) -> None:
    repository.git.commit(BRANCH, {".gitattributes": attributes, "a.txt": content}, "Attributes")

    assert (checked_out(github, repository, tmp_path).folder / "a.txt").read_bytes() == content


def test_ordinary_trees_pass(github: StandInGitHub, repository: Repository, tmp_path: Path) -> None:
    files: dict[str, Content] = {
        ".gitattributes": "* text=auto\n*.sh text eol=lf\n*.bin -text\n*.dat filter=none diff=none\n",
        ".gitignore": "ignored/\n*.pyc\n",
        "ignored/but/tracked.pyc": b"\0",
        "crlf.bat": b"a\r\nb\r\n",
        "mixed.csv": b"a\r\nb\n",
        "run.sh": Executable("#!/bin/sh\n"),
        "data.bin": bytes(range(256)),
        "A": "upper\n",
        "a": "lower\n",
        "back\\slash": "x\n",
        "caf\u00e9 \u4e2d": "x\n",
        os.fsdecode(b"latin-\xe9"): "x\n",
        "link": Symlink("A"),
        "lib": Submodule("1" * 40),
        "empty": "",
        "node_modules/tracked.js": "1\n",
    }
    repository.git.commit(BRANCH, files, "Ordinary")

    checkout = checked_out(github, repository, tmp_path)

    checkout.git.run("add", "--all", in_work_tree=True)
    assert checkout.git.text("write-tree") == checkout.git.text("rev-parse", f"{checkout.commit}^{{tree}}")
    assert not (checkout.git.directory / "layout-index").exists()


def test_modes_of_early_git_pass(github: StandInGitHub, repository: Repository, tmp_path: Path) -> None:
    push_tree(repository, [(b"100664", b"old.py", write_object(repository, "blob", b"x\n"))])

    assert (checked_out(github, repository, tmp_path).folder / "old.py").read_text() == "x\n"


def test_neutralized_attributes_pass(github: StandInGitHub, repository: Repository, tmp_path: Path) -> None:
    """With attributes that info/attributes switches off, contents are what the commit holds."""
    files: dict[str, Content] = {".gitattributes": "* text eol=crlf ident working-tree-encoding=UTF-16\n"}
    checkout = checked_out(github, repository, tmp_path)
    commit = repository.git.commit(BRANCH, {**files, "a.txt": b"$Id: x $\r\n\n"}, "Attributes")
    git = checkout.git
    git.network("fetch", "--quiet", "origin", f"+refs/heads/{BRANCH}:refs/found")
    (git.directory / "info" / "attributes").write_text("* -text -eol -crlf -ident -working-tree-encoding\n")
    git.network("read-tree", "--reset", "-u", commit, in_work_tree=True)

    lease = Lease("work-item-processor-lock", "arn:aws:states:x:1:execution:w:run-1", 1, expires_at=0)
    request = BuildRequest("acme/shop", BRANCH, commit, ".kiro/specs/x", 1, lease)
    require_sound_layout(git, request)


def test_agent_is_not_started_on_unusable_tree(worker: Worker) -> None:
    attributes = "*.txt working-tree-encoding=NO-SUCH-CODE\n"
    files: dict[str, Content] = {".gitattributes": attributes, "a.txt": "x\n"}
    worker.commit = worker.repository.git.commit("main", files, "Attributes")
    worker.commit = worker.repository.git.commit("feature/discounts", files, "Attributes")

    finished = worker.run()

    assert (finished.exit_code, finished.outcome) == (1, "CheckoutFailed"), finished.log
    assert "a.txt" in finished.exports["OUTCOME_REASON"]
    assert "── agent" not in finished.log
