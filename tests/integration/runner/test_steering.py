"""Central steering files: the agent reads them in every turn, and no commit contains them."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest

from kiro_worker.runner.trust.steering import MANIFEST

BUCKET = "acme-steering"
SOURCE = f"s3://{BUCKET}/kiro/team"
CENTRAL = {"steering/security.md": "Central: no keys in code.\n", "steering/deep/style.md": "Central: two spaces.\n"}
# Appends the steering files that it finds in a turn to seen.txt, which is its work. A test adds what it does to them.
AGENT = """
import os, pathlib, subprocess, sys
prompt = sys.stdin.read()
seen = {str(path): path.read_text() for path in sorted(pathlib.Path(".kiro/steering").rglob("*.md"))}
with open("seen.txt", "a") as file:
    file.write(repr(seen) + "\\n")
"""


def manifest(files: Mapping[str, str], version: str = "2026-11-24") -> str:
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    return json.dumps({"version": version, "files": sums})


def publish_centrally(worker: Any, files: Mapping[str, str], **replacements: str) -> None:
    s3 = worker.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for name, text in {**files, MANIFEST: manifest(files), **replacements}.items():
        s3.put_object(Bucket=BUCKET, Key=f"kiro/team/{name}", Body=text.encode())


def commit_on_both_branches(worker: Any, files: Mapping[str, str]) -> None:
    """Commit the same steering files to main and the branch, as the guard requires."""
    git = worker.repository.git
    main = git.commit("main", files, "Steer")
    assert main
    worker.commit = git.commit("feature/discounts", files, "Steer")


def changed_since(worker: Any, commit: str) -> set[str]:
    """Return every file that a commit up to ``commit`` changes, except the list of tasks."""
    log = worker.repository.git.run("log", "-m", "--name-only", "--format=", f"{worker.commit}..{commit}")
    return set(log.decode().split()) - {".kiro/specs/feature-discounts/tasks.md"}


def test_steering_files_are_not_committed(worker: Any) -> None:
    commit_on_both_branches(worker, {".kiro/steering/security.md": "From the branch.\n"})
    publish_centrally(worker, CENTRAL)
    spoil = 'for name in list(seen): open(name, "a").write("SPOILT")\n'
    worker.configure(worker.agent(AGENT + spoil), steering=SOURCE)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    seen = {f".kiro/{name}": text for name, text in sorted(CENTRAL.items())}
    lines = worker.file("seen.txt").splitlines()
    assert len(lines) == 5
    assert all(ast.literal_eval(line) == seen for line in lines), "every turn sees the original files"
    assert worker.file(".kiro/steering/security.md") == "From the branch.\n"
    assert changed_since(worker, worker.head()) == {"seen.txt"}
    assert "SPOILT" not in worker.artifact("changes.patch")
    assert finished.result["steering"] == {"source": SOURCE, "version": "2026-11-24"}
    assert f"version 2026-11-24 of {SOURCE}: .kiro/steering/security.md" in finished.log


@pytest.mark.parametrize("everything", ["git add -A", "git add -A -f"])
def test_agents_commits_lack_steering_files(worker: Any, everything: str) -> None:
    publish_centrally(worker, CENTRAL)
    commit = f'subprocess.run("{everything}; git commit -qm Mine", shell=True, check=True)\n'
    worker.configure(worker.agent(AGENT + commit, mode="all"), steering=SOURCE)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert changed_since(worker, worker.head()) == {"seen.txt"}
    titles = worker.repository.git.run("log", "--format=%s", f"{worker.commit}..{worker.head()}").decode().split("\n")
    assert ("Mine" in titles) is (everything == "git add -A"), "commits without them are kept"


@pytest.mark.parametrize(
    "trick",
    [
        "os.unlink('.kiro/steering/security.md')\n",
        "os.unlink('.kiro/steering/security.md'); os.symlink('../../README.md', '.kiro/steering/security.md')\n",
        "os.rename('.kiro/steering', 'moved'); shutil = __import__('shutil'); shutil.rmtree('moved')\n",
    ],
)
def test_branchs_steering_files_are_restored(worker: Any, trick: str) -> None:
    commit_on_both_branches(worker, {".kiro/steering/security.md": "From the branch.\n"})
    publish_centrally(worker, CENTRAL)
    worker.configure(worker.agent(AGENT + trick, mode="all"), steering=SOURCE)

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert worker.file(".kiro/steering/security.md") == "From the branch.\n"
    assert changed_since(worker, worker.head()) == {"seen.txt"}


def test_linked_steering_folder_trips_guard(worker: Any) -> None:
    publish_centrally(worker, CENTRAL)
    trick = "import shutil; shutil.rmtree('.kiro/steering'); os.symlink('../shop', '.kiro/steering')\n"
    worker.configure(worker.agent(AGENT + trick, mode="all"), steering=SOURCE)

    finished = worker.run()

    assert finished.outcome == "GuardTripped", finished.log
    assert ".kiro/steering" in finished.exports["OUTCOME_REASON"]


def test_tests_see_no_steering_files(worker: Any) -> None:
    publish_centrally(worker, CENTRAL)
    worker.configure(
        worker.agent(AGENT, mode="all"),
        steering=SOURCE,
        test=["sh", "-c", "echo Ran 1 test in 0s; test ! -e .kiro/steering/security.md"],
    )

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log


def test_steering_can_come_from_repository(worker: Any) -> None:
    central = worker.github.board.add_repository("acme/steering")
    files = {f"kiro/{name}": text for name, text in CENTRAL.items()}
    central.git.commit("main", {**files, "kiro/manifest.json": manifest(CENTRAL, "v7")}, "Steer")
    worker.configure(worker.agent(AGENT, mode="all"), steering="acme/steering@main:kiro")

    finished = worker.run()

    assert finished.outcome == "Succeeded", finished.log
    assert "Central: no keys in code." in worker.file("seen.txt")
    assert finished.result["steering"] == {"source": "acme/steering@main:kiro", "version": "v7"}


@pytest.mark.parametrize(
    "source", ["acme/steering@gone:kiro", "acme/steering@main:none", "acme/none@main:kiro", SOURCE]
)
def test_unreadable_source_stops_build(worker: Any, source: str) -> None:
    worker.github.board.add_repository("acme/steering").git.commit("main", {"a": "a"}, "Begin")
    worker.configure({"command": ["this-agent-must-not-run"]}, steering=source)

    finished = worker.run()

    assert finished.outcome == "WorkerFailed"
    assert f"manifest.json of the steering files of {source} cannot be read" in finished.exports["OUTCOME_REASON"]
    fix = "kiro-worker-test-git-credentials" if "none@" in source else "steeringPrefix"
    assert fix in finished.exports["OUTCOME_REASON"]


def test_wrong_digest_trips_guard(worker: Any) -> None:
    publish_centrally(worker, CENTRAL, **{"steering/security.md": "Replaced.\n"})
    worker.configure({"command": ["this-agent-must-not-run"]}, steering=SOURCE)

    finished = worker.run()

    assert finished.outcome == "GuardTripped"
    assert (
        "steering/security.md does not have the SHA-256 that manifest.json (version 2026-11-24) lists" in finished.log
    )
