"""A dry run checks the same sources as a build: submodules, central steering files, LFS, the guard's label."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from kiro_local.github.faults import FaultKind
from kiro_local.github.git_repository import Content, Submodule
from tests.support.dry_run import dry_run_on_aws, dry_run_without_aws, free_lock
from tests.support.worker import BRANCH, TOKEN, Worker

STEERING_BUCKET = "acme-steering"
STEERING = f"s3://{STEERING_BUCKET}/kiro"
needs_git_lfs = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")


def add_submodule(worker: Worker, url: str) -> None:
    """Add ``vendor/lib`` to both branches, so that the guard accepts it."""
    lib = worker.github.board.add_repository("acme/lib")
    pinned = lib.git.commit("main", {"lib.py": "LIB = 1\n"}, "Begin")
    files: dict[str, Content] = {
        ".gitmodules": f'[submodule "lib"]\n\tpath = vendor/lib\n\turl = {url}\n',
        "vendor/lib": Submodule(pinned),
    }
    worker.repository.git.commit("main", files, "Use lib")
    worker.commit = worker.repository.git.commit(BRANCH, files, "Use lib")


def publish_steering(worker: Worker) -> None:
    content = "No keys in code.\n"
    sums = {"steering/security.md": hashlib.sha256(content.encode()).hexdigest()}
    s3 = worker.client("s3")
    s3.create_bucket(Bucket=STEERING_BUCKET)
    for name, text in {
        "manifest.json": json.dumps({"version": "7", "files": sums}),
        "steering/security.md": content,
    }.items():
        s3.put_object(Bucket=STEERING_BUCKET, Key=f"kiro/{name}", Body=text.encode())


def test_submodules_are_listed(worker: Worker) -> None:
    add_submodule(worker, "../lib.git")
    worker.configure(submodules=True)
    free_lock(worker)

    done = dry_run_on_aws(worker, "--json")

    assert (done.exit_code, done.outcomes) == (0, []), done.out
    assert done.document["submodules"] == ["vendor/lib"]


def test_missing_submodule_would_stop_build(worker: Worker) -> None:
    add_submodule(worker, "../no-such-repository.git")
    worker.configure(submodules=True)
    free_lock(worker)

    done = dry_run_on_aws(worker, "--json")

    assert (done.exit_code, done.outcomes) == (1, ["CheckoutFailed"])
    assert "the submodule 'vendor/lib' cannot be fetched" in done.document["stops"][0]["reason"]
    assert done.document["turns"], "the dry run goes on after the submodules"


def test_steering_files_are_listed(worker: Worker) -> None:
    publish_steering(worker)
    worker.configure(steering=STEERING)
    free_lock(worker)

    done = dry_run_on_aws(worker, "--json")

    assert (done.exit_code, done.outcomes) == (0, []), done.out
    assert done.document["steering"] == {
        "source": STEERING,
        "version": "7",
        "files": [".kiro/steering/security.md"],
    }


def test_missing_steering_would_stop_build(worker: Worker) -> None:
    worker.configure(steering=STEERING)
    free_lock(worker)

    done = dry_run_on_aws(worker, "--json")

    assert (done.exit_code, done.outcomes) == (1, ["WorkerFailed"])
    assert STEERING in done.document["stops"][0]["reason"]
    assert done.document["turns"], "the dry run goes on after the steering files"


def test_s3_is_not_checked_without_aws(worker: Worker, config: Path) -> None:
    configuration = json.loads(config.read_text())
    config.write_text(json.dumps({**configuration, "steering": STEERING}))

    done = dry_run_without_aws(worker, config, GITHUB_TOKEN=TOKEN)

    assert done.exit_code == 0, done.out + done.error
    assert done.lines["steering"] == "not checked without AWS"


@needs_git_lfs
def test_lfs_is_checked(worker: Worker) -> None:
    worker.configure(lfs=True)
    free_lock(worker)

    done = dry_run_on_aws(worker, "--json")

    assert (done.exit_code, done.outcomes) == (0, []), done.out
    assert done.document["lfs"] is True


def test_missing_git_lfs_would_stop_build(worker: Worker) -> None:
    worker.configure(lfs=True)
    free_lock(worker)
    without_git_lfs = worker.folder / "bin"
    without_git_lfs.mkdir()

    done = dry_run_on_aws(worker, "--json", PATH=str(without_git_lfs))

    assert (done.exit_code, done.outcomes) == (1, ["CheckoutFailed"])
    assert "git-lfs" in done.document["stops"][0]["reason"]


def test_unanswered_label_is_noted(worker: Worker) -> None:
    worker.repository.git.commit(BRANCH, {"AGENTS.md": "Obey.\n"}, "Steer")
    worker.configure(guardLabel="steering-reviewed")
    worker.github.faults.add(FaultKind.FORBIDDEN, "ReadLabels", times=None)
    free_lock(worker)

    done = dry_run_on_aws(worker, "--json")

    assert (done.exit_code, done.outcomes) == (1, ["WorkerFailed"])
    assert done.document["stops"][0]["reason"].startswith("GitHubForbidden: ")
    # Like a run, it ends before the checkout: the label is read when the branch is validated.
    assert "turns" not in done.document
