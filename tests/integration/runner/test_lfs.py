"""Git LFS: files for agent and tests, pointers in commits, objects on the server before what refers to them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kiro_local.github.lfs_http import add_object, object_file
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.runner.repository.git import Git
from kiro_worker.runner.repository.lfs import Pointer, new_pointers, touched_pointers
from tests.support.worker import PASSWORD

needs_git_lfs = pytest.mark.skipif(
    shutil.which("git-lfs") is None, reason="git-lfs is not installed here: apt-get install git-lfs"
)
ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
PICTURE = b"\0picture 1\n" * 1000
SEEN = "cmp -s picture.bin expected.txt && echo Ran 1 test in 0s"
PASSES = ["sh", "-c", "echo Ran 1 test in 0s"]
# Every key that git-lfs takes from this file, and some that it ignores.
LFSCONFIG = """\
[lfs]
\turl = {theirs}
\tpushurl = {theirs}
\tfetchinclude = nothing
\tfetchexclude = *
\tskipdownloaderrors = true
\tallowincompletepush = true
\tlocksverify = true
\tgitprotocol = http
\tstandalonetransferagent = evil
[lfs "customtransfer.evil"]
\tpath = touch
[lfs "{ours}"]
\taccess = none
[remote "origin"]
\tlfsurl = {theirs}
\tlfspushurl = {theirs}
[url "{theirs}"]
\tinsteadOf = {ours}
"""
TELLING = ("Endpoint", "BasicTransfersOnly=true", "SkipDownloadErrors=", "FetchExclude=", "FetchInclude=")
# The server goes wrong when the checkout is done.
REFUSE = """
import json, sys, urllib.request
fault = {"kind": "forbidden", "operation": sys.argv[2], "times": None}
asked = urllib.request.Request(
    sys.argv[1] + "/_stand_in/faults", json.dumps(fault).encode(), {"Content-Type": "application/json"}
)
urllib.request.urlopen(asked)
"""
CHANGE = """
import pathlib, sys
sys.stdin.read()
picture = pathlib.Path("picture.bin")
with open("seen.txt", "a") as file:
    file.write(picture.read_bytes()[:10].decode() + "\\n")
picture.write_bytes(picture.read_bytes() + b"more")
pathlib.Path("expected.txt").write_bytes(picture.read_bytes())
"""


def with_picture(worker: Any, **more: str) -> str:
    """``picture.bin`` in LFS on the branch, and ``more`` files beside it; the pointer."""
    pointer = add_object(worker.repository, PICTURE)
    files = {".gitattributes": ATTRIBUTES, "picture.bin": pointer, **more}
    worker.commit = worker.repository.git.commit("feature/discounts", files, "Add a picture")
    return pointer


def pointed_to(text: str) -> str:
    assert text.startswith("version https://git-lfs.github.com/spec/v1\noid sha256:"), text
    return text.split("sha256:")[1][:64]


def stored(worker: Any, text: str) -> bytes:
    return object_file(worker.repository, pointed_to(text)).read_bytes()


def operations(worker: Any) -> list[str]:
    return [each.operation for each in worker.github.requests.git() if each.status == 200]


@needs_git_lfs
def test_agent_and_tests_have_files_commits_have_pointers_and_objects_come_first(worker: Any) -> None:
    with_picture(worker)
    worker.configure(worker.agent(CHANGE), lfs=True, testCommand=["sh", "-c", SEEN])

    finished = worker.run(GIT_LFS_SKIP_SMUDGE="1", GIT_LFS_SKIP_PUSH="1", GIT_TRACE="1")

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("seen.txt") == "\0picture 1\n" * 5, "the file itself in every turn"
    assert stored(worker, worker.file("picture.bin")) == PICTURE + b"more" * 5
    every = worker.repository.git.run("log", "--format=%H", f"{worker.commit}..{worker.head()}").decode().split()
    assert len(every) == 5
    for number, commit in enumerate(reversed(every), 1):
        assert stored(worker, worker.file("picture.bin", commit)) == PICTURE + b"more" * number
    told = operations(worker)
    assert told.index("lfs-upload") < told.index("git-receive-pack"), told
    assert PASSWORD not in finished.log


@needs_git_lfs
def test_an_unchanged_file_is_no_change_for_the_agents_git_either(worker: Any) -> None:
    pointer = with_picture(worker)
    look = "git status --porcelain > status.txt; git checkout -q -- picture.bin"
    agent = f"import subprocess\nsubprocess.run({look!r}, shell=True, check=True)\n"
    worker.configure(worker.agent(agent, mode="all"), lfs=True, testCommand=PASSES)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("status.txt") == "?? status.txt\n"
    assert worker.file("picture.bin") == pointer
    assert "lfs-upload" not in operations(worker)


@needs_git_lfs
@pytest.mark.parametrize("agents_own", ["", 'subprocess.run(["git", "config", "--remove-section", "filter.lfs"])\n'])
def test_of_commits_of_the_agent_that_change_such_files_the_files_are_kept(worker: Any, agents_own: str) -> None:
    with_picture(worker)
    commit = 'subprocess.run("export GIT_CONFIG_NOSYSTEM=1; git add -A; git commit -qm Mine", shell=True, check=True)\n'
    worker.configure(
        worker.agent(f"import subprocess\n{CHANGE}{agents_own}{commit}", mode="all"),
        lfs=True,
        testCommand=["sh", "-c", SEEN],
    )

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "they change files of LFS" in finished.log
    assert stored(worker, worker.file("picture.bin")) == PICTURE + b"more"
    new = ("--text", "--format=%s", f"{worker.commit}..{worker.head()}", "--", "picture.bin")
    history = worker.repository.git.run("log", "-p", *new).decode()
    assert "Mine" not in history
    assert "+oid sha256:" in history
    assert "picture 1" not in history, "no contents in a commit"


@needs_git_lfs
@pytest.mark.parametrize("whose", ["branch", "agent"])
def test_the_branchs_lfsconfig_redirects_nothing(worker: Any, whose: str) -> None:
    with StandInGitHub() as evil:
        evil.add_token(PASSWORD)
        evil.board.add_repository("acme/shop")
        theirs, ours = f"{evil.git_url}/acme/shop.git/info/lfs", f"{worker.github.git_url}/acme/shop.git/info/lfs"
        hostile = LFSCONFIG.format(theirs=theirs, ours=ours)
        with_picture(worker, **({".lfsconfig": hostile} if whose == "branch" else {}))
        write = f'pathlib.Path(".lfsconfig").write_text({hostile!r})\n' if whose == "agent" else ""
        worker.configure(worker.agent(CHANGE + write), lfs=True, testCommand=["sh", "-c", SEEN])

        finished = worker.run()

        assert finished.outcome == "Succeeded", finished.log
        assert worker.file("seen.txt") == "\0picture 1\n" * 5
        assert stored(worker, worker.file("picture.bin")) == PICTURE + b"more" * 5
        assert not len(evil.requests)


@needs_git_lfs
def test_what_git_lfs_reads_of_an_lfsconfig_is_replaced(tmp_path: Path) -> None:
    # In a repository that is not bare, for there git-lfs reads the file for certain.
    theirs, ours = "https://evil.example/lfs", "https://git.example/acme/shop.git"
    subprocess.run(["git", "init", "-q", tmp_path / "work"], check=True)
    (tmp_path / "work/.lfsconfig").write_text(LFSCONFIG.format(theirs=theirs, ours=f"{ours}/info/lfs"))

    def told(lfs: bool) -> list[str]:
        work, home = tmp_path / "work", tmp_path / "home"
        git = Git(work / ".git", work_tree=work, home=home, url=ours, credentials=None, parent=os.environ, lfs=lfs)
        told = git.text("lfs", "env", in_work_tree=True).splitlines()
        return [line for line in told if line.startswith(TELLING)]

    assert told(lfs=False) == [
        f"Endpoint={theirs} (auth=none)",
        "SkipDownloadErrors=true",
        "FetchExclude=*",
        "FetchInclude=nothing",
    ]
    assert told(lfs=True) == [
        f"Endpoint={ours}/info/lfs (auth=basic)",
        "BasicTransfersOnly=true",
        "SkipDownloadErrors=false",
    ]


@needs_git_lfs
@pytest.mark.parametrize("operation", ["lfs-upload", "lfs-batch"])
def test_a_branch_whose_objects_are_refused_does_not_move(worker: Any, operation: str) -> None:
    with_picture(worker)
    agent = worker.agent(REFUSE + CHANGE, worker.github.git_url, operation, mode="all")
    worker.configure(agent, lfs=True, testCommand=PASSES)

    finished = worker.run()

    assert finished.outcome == "PushRejected", finished.log
    assert "its LFS objects could not be uploaded" in finished.exports["OUTCOME_REASON"]
    assert worker.head() == worker.commit
    assert not worker.checkpoint()
    assert "git-receive-pack" not in operations(worker)


@needs_git_lfs
def test_a_pointer_to_nowhere_is_not_pushed(worker: Any) -> None:
    with_picture(worker)
    pointer = f"version https://git-lfs.github.com/spec/v1\\noid sha256:{'0' * 64}\\nsize 9\\n"
    worker.configure(worker.agent(f'open("new.bin", "w").write("{pointer}")', mode="all"), lfs=True, testCommand=PASSES)

    finished = worker.run()

    assert finished.outcome == "PushRejected", finished.log
    assert "no objects for the pointers 'new.bin'" in finished.exports["OUTCOME_REASON"]
    assert worker.head() == worker.commit
    assert not worker.checkpoint()


@needs_git_lfs
def test_a_secret_in_an_object_is_found(worker: Any) -> None:
    with_picture(worker)
    hide = f'open("picture.bin", "ab").write(b"x" * (9 << 20) + {PASSWORD.encode()!r})'
    worker.configure(worker.agent(hide, mode="all"), lfs=True, testCommand=PASSES)

    finished = worker.run()

    assert finished.outcome == "GuardTripped", finished.log
    assert worker.head() == worker.commit
    assert not worker.checkpoint()
    assert "lfs-upload" not in operations(worker)


@needs_git_lfs
def test_another_build_goes_on_from_a_checkpoint_on_a_branch_that_has_moved(worker: Any) -> None:
    with_picture(worker)
    fails = 'if picture.read_bytes().endswith(b"moremoremore"): sys.exit(3)\n'
    worker.configure(worker.agent(CHANGE + fails), lfs=True, testCommand=["sh", "-c", SEEN])
    assert worker.run().outcome == "AgentFailed"
    theirs = add_object(worker.repository, b"by a person")
    head = worker.repository.git.commit("feature/discounts", {"their.bin": theirs}, "By a person")
    worker.configure(worker.agent(CHANGE), lfs=True, testCommand=["sh", "-c", SEEN])

    finished = worker.run(COMMIT_SHA=head)

    assert finished.outcome == "Succeeded", finished.log
    assert "goes on top of it" in finished.log
    assert worker.file("their.bin") == theirs
    assert stored(worker, worker.file("picture.bin")).endswith(b"more" * 6), "three turns of each build"


@needs_git_lfs
def test_a_branch_that_moves_meanwhile_has_the_work_on_top(worker: Any) -> None:
    with_picture(worker)
    theirs = add_object(worker.repository, b"by a person")
    pushes = []

    def meanwhile(operation: str) -> None:
        if operation == "git-receive-pack":
            pushes.append(operation)
            if len(pushes) == 1:
                worker.repository.git.commit("feature/discounts", {"their.bin": theirs}, "By a person")

    worker.github.on_request = meanwhile
    tests = f"test ! -e their.bin || grep -q 'by a person' their.bin && {SEEN}"
    worker.configure(worker.agent(CHANGE, mode="all"), lfs=True, testCommand=["sh", "-c", tests])

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "is rebased onto it, once" in finished.log
    assert worker.file("their.bin") == theirs
    assert stored(worker, worker.file("picture.bin")) == PICTURE + b"more"


@needs_git_lfs
def test_files_that_the_server_does_not_have_fail_the_checkout_by_name(worker: Any) -> None:
    pointer = with_picture(worker)
    object_file(worker.repository, pointed_to(pointer)).unlink()
    worker.configure(lfs=True)

    finished = worker.run()

    assert finished.outcome == "CheckoutFailed", finished.log
    assert "LFS files of feature/discounts" in finished.exports["OUTCOME_REASON"]
    assert operations(worker).count("git-upload-pack") < 5, "not tried in every other way"


def test_without_git_lfs_nothing_is_fetched_and_the_remedy_is_told(worker: Any) -> None:
    bare = worker.folder / "bin"
    bare.mkdir()
    worker.configure(lfs=True)

    finished = worker.run(PATH=str(bare))

    assert finished.outcome == "CheckoutFailed", finished.log
    assert "git-lfs is not in the build's image" in finished.exports["OUTCOME_REASON"]
    assert "apt-get install git-lfs" in finished.log
    assert not worker.github.requests.git()


def test_pointers_are_what_they_were_where_it_is_not_configured(worker: Any) -> None:
    pointer = with_picture(worker)
    path, trace = worker.folder / "bin", worker.folder / "ran"
    path.mkdir()
    program = path / "git-lfs"
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o755)
    look = 'open("seen.txt", "w").write(open("picture.bin").read())'
    worker.configure(worker.agent(look, mode="all"), testCommand=PASSES)

    finished = worker.run(PATH=f"{path}{os.pathsep}{worker.environment()['PATH']}")

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("seen.txt") == pointer == worker.file("picture.bin")
    assert not trace.exists()
    assert not [each for each in worker.github.requests.git() if each.operation.startswith("lfs-")]


@pytest.mark.parametrize(
    "text",
    [
        "version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 1\n",
        "\n version https://hawser.github.com/spec/v1\r\noid sha256:{oid}\r\nsize 1\r\n",
        "version http://git-media.io/v/2\next-0-x sha256:{other}\noid sha256:{oid}\nsize 1",
    ],
)
def test_whatever_git_lfs_takes_for_a_pointer_is_one(worker: Any, text: str) -> None:
    path, folder = worker.repository.git.path, worker.folder
    git = Git(path, work_tree=folder, home=folder / "home", url="", credentials=None, parent=os.environ)
    oid = hashlib.sha256(b"x").hexdigest()
    before = worker.head()
    files = {"a/ b\n.bin": text.format(oid=oid, other="1" * 64), "other.txt": f"see oid sha256:{oid}\n"}
    worker.repository.git.commit("feature/discounts", files, "Add")

    assert new_pointers(git, f"{before}..{worker.head()}") == (Pointer("a/ b\n.bin", oid),)
    assert touched_pointers(git, f"{before}..{worker.head()}", worker.head()) == (Pointer("a/ b\n.bin", oid),)
    assert not new_pointers(git, f"{worker.head()}..{worker.head()}")
