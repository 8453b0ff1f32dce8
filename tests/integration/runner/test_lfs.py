"""Git LFS: files for the agent and the tests, pointers in commits, and objects on the server before their pointers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kiro_local.github.lfs_http import add_object, object_file
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.runner.repository.git import Git
from tests.support.worker import PASSWORD

needs_git_lfs = pytest.mark.usefixtures("git_lfs")
ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
PICTURE = b"\0picture 1\n" * 1000
PICTURE_IS_EXPECTED = "cmp -s picture.bin expected.txt && echo Ran 1 test in 0s"
PASSES = ["sh", "-c", "echo Ran 1 test in 0s"]
# Every key that git-lfs reads from this file, and some that it ignores.
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
REPORTED = ("Endpoint", "BasicTransfersOnly=true", "SkipDownloadErrors=", "FetchExclude=", "FetchInclude=")
# The server begins to refuse requests only when the checkout is done.
REFUSE = """
import json, sys, urllib.request
fault = {"kind": "forbidden", "operation": sys.argv[2], "times": None}
request = urllib.request.Request(
    sys.argv[1] + "/_stand_in/faults", json.dumps(fault).encode(), {"Content-Type": "application/json"}
)
urllib.request.urlopen(request)
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


@pytest.fixture
def git_lfs() -> None:
    if shutil.which("git-lfs") is None:
        problem = "git-lfs is not installed: apt-get install git-lfs"
        if os.environ.get("CI") == "true":
            pytest.fail(problem)
        pytest.skip(problem)


def add_picture(worker: Any, **more: str) -> str:
    """Add ``picture.bin`` to the branch, with LFS, and ``more`` files beside it. Returns the pointer."""
    pointer = add_object(worker.repository, PICTURE)
    files = {".gitattributes": ATTRIBUTES, "picture.bin": pointer, **more}
    worker.commit = worker.repository.git.commit("feature/discounts", files, "Add a picture")
    return pointer


def oid_in(text: str) -> str:
    assert text.startswith("version https://git-lfs.github.com/spec/v1\noid sha256:"), text
    return text.split("sha256:")[1][:64]


def stored(worker: Any, text: str) -> bytes:
    return object_file(worker.repository, oid_in(text)).read_bytes()


def operations(worker: Any) -> list[str]:
    return [request.operation for request in worker.github.requests.git() if request.status == 200]


@needs_git_lfs
def test_objects_are_uploaded_before_commits(worker: Any) -> None:
    add_picture(worker)
    worker.configure(worker.agent(CHANGE), lfs=True, test=["sh", "-c", PICTURE_IS_EXPECTED])

    finished = worker.run(GIT_LFS_SKIP_SMUDGE="1", GIT_LFS_SKIP_PUSH="1", GIT_TRACE="1")

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("seen.txt") == "\0picture 1\n" * 5, "the agent has the file, not its pointer, in every turn"
    assert stored(worker, worker.file("picture.bin")) == PICTURE + b"more" * 5
    commits = worker.repository.git.run("log", "--format=%H", f"{worker.commit}..{worker.head()}").decode().split()
    assert len(commits) == 5
    for number, commit in enumerate(reversed(commits), 1):
        assert stored(worker, worker.file("picture.bin", commit)) == PICTURE + b"more" * number
    done = operations(worker)
    push_check = done.index("git-receive-pack")
    assert done.index("lfs-upload") < done.index("git-receive-pack", push_check + 1), done
    assert PASSWORD not in finished.log


@needs_git_lfs
def test_unchanged_lfs_files_look_unchanged(worker: Any) -> None:
    pointer = add_picture(worker)
    script = "git status --porcelain > status.txt; git checkout -q -- picture.bin"
    agent = f"import subprocess\nsubprocess.run({script!r}, shell=True, check=True)\n"
    worker.configure(worker.agent(agent, mode="all"), lfs=True, test=PASSES)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("status.txt") == " M .kiro/specs/feature-discounts/tasks.md\n?? status.txt\n"
    assert worker.file("picture.bin") == pointer
    assert "lfs-upload" not in operations(worker)


@needs_git_lfs
@pytest.mark.parametrize("remove_filter", ["", 'subprocess.run(["git", "config", "--remove-section", "filter.lfs"])\n'])
def test_agents_lfs_commits_are_not_kept(worker: Any, remove_filter: str) -> None:
    add_picture(worker)
    commit = 'subprocess.run("export GIT_CONFIG_NOSYSTEM=1; git add -A; git commit -qm Mine", shell=True, check=True)\n'
    worker.configure(
        worker.agent(f"import subprocess\n{CHANGE}{remove_filter}{commit}", mode="all"),
        lfs=True,
        test=["sh", "-c", PICTURE_IS_EXPECTED],
    )

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "the commits change LFS files" in finished.log
    assert stored(worker, worker.file("picture.bin")) == PICTURE + b"more"
    new = ("--text", "--format=%s", f"{worker.commit}..{worker.head()}", "--", "picture.bin")
    history = worker.repository.git.run("log", "-p", *new).decode()
    assert "Mine" not in history
    assert "+oid sha256:" in history
    assert "picture 1" not in history, "no commit contains the file itself"


@needs_git_lfs
@pytest.mark.parametrize("author", ["branch", "agent"])
def test_lfsconfig_redirects_nothing(worker: Any, author: str) -> None:
    with StandInGitHub() as evil:
        evil.add_token(PASSWORD)
        evil.board.add_repository("acme/shop")
        theirs, ours = f"{evil.git_url}/acme/shop.git/info/lfs", f"{worker.github.git_url}/acme/shop.git/info/lfs"
        hostile = LFSCONFIG.format(theirs=theirs, ours=ours)
        add_picture(worker, **({".lfsconfig": hostile} if author == "branch" else {}))
        write = f'pathlib.Path(".lfsconfig").write_text({hostile!r})\n' if author == "agent" else ""
        worker.configure(worker.agent(CHANGE + write), lfs=True, test=["sh", "-c", PICTURE_IS_EXPECTED])

        finished = worker.run()

        assert finished.outcome == "Succeeded", finished.log
        assert worker.file("seen.txt") == "\0picture 1\n" * 5
        assert stored(worker, worker.file("picture.bin")) == PICTURE + b"more" * 5
        assert not len(evil.requests)


@needs_git_lfs
def test_worker_overrides_every_lfsconfig_key(tmp_path: Path) -> None:
    # In a repository that is not bare, because there git-lfs is certain to read the file.
    theirs, ours = "https://evil.example/lfs", "https://git.example/acme/shop.git"
    subprocess.run(["git", "init", "-q", tmp_path / "work"], check=True)
    (tmp_path / "work/.lfsconfig").write_text(LFSCONFIG.format(theirs=theirs, ours=f"{ours}/info/lfs"))

    def settings(lfs: bool) -> list[str]:
        work, home = tmp_path / "work", tmp_path / "home"
        git = Git(work / ".git", work_tree=work, home=home, url=ours, credentials=None, parent=os.environ, lfs=lfs)
        lines = git.text("lfs", "env", in_work_tree=True).splitlines()
        return [line for line in lines if line.startswith(REPORTED)]

    assert settings(lfs=False) == [
        f"Endpoint={theirs} (auth=none)",
        "SkipDownloadErrors=true",
        "FetchExclude=*",
        "FetchInclude=nothing",
    ]
    assert settings(lfs=True) == [
        f"Endpoint={ours}/info/lfs (auth=basic)",
        "BasicTransfersOnly=true",
        "SkipDownloadErrors=false",
    ]


@needs_git_lfs
@pytest.mark.parametrize(
    "operation",
    [
        # git-lfs waits for each of its own retries.
        pytest.param("lfs-upload", marks=pytest.mark.exhaustive),
        "lfs-batch",
    ],
)
def test_refused_objects_reject_push(worker: Any, operation: str) -> None:
    add_picture(worker)
    agent = worker.agent(REFUSE + CHANGE, worker.github.git_url, operation, mode="all")
    worker.configure(agent, lfs=True, test=PASSES)

    finished = worker.run()

    assert finished.outcome == "PushRejected", finished.log
    assert "its LFS objects could not be uploaded" in finished.exports["OUTCOME_REASON"]
    assert worker.head() == worker.commit
    assert not worker.checkpoint()
    assert operations(worker).count("git-receive-pack") == 2, "the push check, and the removal of its ref"


@needs_git_lfs
def test_dangling_pointer_is_not_pushed(worker: Any) -> None:
    add_picture(worker)
    pointer = f"version https://git-lfs.github.com/spec/v1\\noid sha256:{'0' * 64}\\nsize 9\\n"
    worker.configure(worker.agent(f'open("new.bin", "w").write("{pointer}")', mode="all"), lfs=True, test=PASSES)

    finished = worker.run()

    assert finished.outcome == "PushRejected", finished.log
    assert "no objects for the pointers 'new.bin'" in finished.exports["OUTCOME_REASON"]
    assert worker.head() == worker.commit
    assert not worker.checkpoint()


@needs_git_lfs
def test_secret_in_object_is_found(worker: Any) -> None:
    add_picture(worker)
    hide = f'open("picture.bin", "ab").write(b"x" * (9 << 20) + {PASSWORD.encode()!r})'
    worker.configure(worker.agent(hide, mode="all"), lfs=True, test=PASSES)

    finished = worker.run()

    assert finished.outcome == "GuardTripped", finished.log
    assert worker.head() == worker.commit
    assert not worker.checkpoint()
    assert "lfs-upload" not in operations(worker)


@needs_git_lfs
def test_checkpoint_follows_moved_branch(worker: Any) -> None:
    add_picture(worker)
    fails = 'if picture.read_bytes().endswith(b"moremoremore"): sys.exit(3)\n'
    worker.configure(worker.agent(CHANGE + fails), lfs=True, test=["sh", "-c", PICTURE_IS_EXPECTED])
    assert worker.run().outcome == "AgentFailed"
    theirs = add_object(worker.repository, b"by a person")
    head = worker.repository.git.commit("feature/discounts", {"their.bin": theirs}, "By a person")
    worker.configure(worker.agent(CHANGE), lfs=True, test=["sh", "-c", PICTURE_IS_EXPECTED])

    finished = worker.run(COMMIT_SHA=head)

    assert finished.outcome == "Succeeded", finished.log
    assert "is rebased onto it" in finished.log
    assert worker.file("their.bin") == theirs
    assert stored(worker, worker.file("picture.bin")).endswith(b"more" * 6), "three turns of each build"


@needs_git_lfs
def test_work_is_rebased_onto_moved_branch(worker: Any) -> None:
    add_picture(worker)
    theirs = add_object(worker.repository, b"by a person")
    pushes = []

    def push_during_build(operation: str) -> None:
        if operation == "git-receive-pack":
            pushes.append(operation)
            if len(pushes) == 1:
                worker.repository.git.commit("feature/discounts", {"their.bin": theirs}, "By a person")

    worker.github.on_request = push_during_build
    tests = f"test ! -e their.bin || grep -q 'by a person' their.bin && {PICTURE_IS_EXPECTED}"
    worker.configure(worker.agent(CHANGE, mode="all"), lfs=True, test=["sh", "-c", tests])

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "is rebased onto it, once" in finished.log
    assert worker.file("their.bin") == theirs
    assert stored(worker, worker.file("picture.bin")) == PICTURE + b"more"


@needs_git_lfs
def test_missing_files_fail_checkout(worker: Any) -> None:
    pointer = add_picture(worker)
    object_file(worker.repository, oid_in(pointer)).unlink()
    worker.configure(lfs=True)

    finished = worker.run()

    assert finished.outcome == "CheckoutFailed", finished.log
    assert "LFS files of feature/discounts" in finished.exports["OUTCOME_REASON"]
    assert operations(worker).count("git-upload-pack") < 5, "other fetch modes are not tried"


def test_missing_git_lfs_prevents_fetch(worker: Any) -> None:
    without_git_lfs = worker.folder / "bin"
    without_git_lfs.mkdir()
    worker.configure(lfs=True)

    finished = worker.run(PATH=str(without_git_lfs))

    assert finished.outcome == "CheckoutFailed", finished.log
    assert "git-lfs is not in the build's image" in finished.exports["OUTCOME_REASON"]
    assert "apt-get install git-lfs" in finished.log
    assert not worker.github.requests.git()


def test_pointers_stay_pointers_by_default(worker: Any) -> None:
    pointer = add_picture(worker)
    path, trace = worker.folder / "bin", worker.folder / "ran"
    path.mkdir()
    program = path / "git-lfs"
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o755)
    copy_pointer = 'open("seen.txt", "w").write(open("picture.bin").read())'
    worker.configure(worker.agent(copy_pointer, mode="all"), test=PASSES)

    finished = worker.run(PATH=f"{path}{os.pathsep}{worker.environment()['PATH']}")

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file("seen.txt") == pointer == worker.file("picture.bin")
    assert not trace.exists()
    assert not [request for request in worker.github.requests.git() if request.operation.startswith("lfs-")]
