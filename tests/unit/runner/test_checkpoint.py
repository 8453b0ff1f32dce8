"""Where a build resumes, depending on what its checkout knows about the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from kiro_worker.models import Lease
from kiro_worker.records.checkpoints import CheckpointRecord, KeptWork, note_checkpoint
from kiro_worker.records.table import RecordsTable
from kiro_worker.runner.repository.checkout import Checkout
from kiro_worker.runner.repository.checkpoint import Checkpoint
from kiro_worker.runner.repository.git import Git
from kiro_worker.runner.request import BuildRequest
from tests.support.memory_dynamodb import MemoryDynamoDB
from tests.support.scripted_git import ScriptedGit

HEAD, KEPT = "1" * 40, "2" * 40
REFERENCE = "refs/kiro-worker/checkpoints/feature/x"
REQUEST = BuildRequest(
    "acme/shop", "feature/x", HEAD, ".kiro/specs/x", 1, Lease("work-item-processor-lock", "arn:aws:x", 1, expires_at=0)
)
LOOK = f"ls-remote origin {REFERENCE}"
FETCH = f"fetch --quiet --no-tags --no-filter origin +{REFERENCE}:refs/kiro-worker/found"


def scripted_git(folder: Path, on_server: str) -> ScriptedGit:
    answers = {"merge-base --is-ancestor *": "exit 0"}
    if on_server:
        answers["ls-remote *"] = f"printf '{on_server}\\t{REFERENCE}\\n'"
    return ScriptedGit.install(folder / "bin", answers)


def checkpoint_of(folder: Path, program: ScriptedGit, fetched: str | None) -> Checkpoint:
    git = Git(
        folder / "trusted.git",
        work_tree=folder / "checkout",
        home=folder / "home",
        url="https://git.example/acme/shop.git",
        credentials=None,
        parent=program.environment,
    )
    records = RecordsTable(cast("Any", MemoryDynamoDB()), "records")
    note_checkpoint(records, "acme/shop", "feature/x", CheckpointRecord(KeptWork(KEPT, HEAD, HEAD), None, "arn:aws:x"))
    return Checkpoint(
        REQUEST, Checkout(git.work_tree, git, "feature/x", HEAD, HEAD, checkpoint=fetched), records, print
    )


@pytest.mark.parametrize(
    ("fetched", "on_server", "start", "requests"),
    [
        (KEPT, KEPT, KeptWork(KEPT, HEAD, HEAD), []),
        ("", "", KeptWork.none_at(HEAD), []),
        (None, KEPT, KeptWork(KEPT, HEAD, HEAD), [LOOK, FETCH]),
        (None, "", KeptWork.none_at(HEAD), [LOOK]),
    ],
    ids=["fetched", "fetched, and there is none", "not fetched", "not fetched, and there is none"],
)
def test_checkpoint_not_fetched_is_looked_up(
    tmp_path: Path, fetched: str | None, on_server: str, start: KeptWork, requests: list[str]
) -> None:
    git = scripted_git(tmp_path, on_server)
    checkpoint = checkpoint_of(tmp_path, git, fetched)

    assert checkpoint.resume() == start
    assert [command for command in git.commands if command.startswith(("ls-remote", "fetch"))] == requests
    assert checkpoint.commit == on_server


def test_lookup_happens_once(tmp_path: Path) -> None:
    git = scripted_git(tmp_path, KEPT)
    checkpoint = checkpoint_of(tmp_path, git, None)

    assert (checkpoint.find(), checkpoint.find()) == (KEPT, KEPT)
    assert git.commands == [LOOK]


def test_lookup_that_fails_starts_over(tmp_path: Path) -> None:
    git = ScriptedGit.install(tmp_path / "bin", {"ls-remote *": "exit 128"})

    assert checkpoint_of(tmp_path, git, None).resume() == KeptWork.none_at(HEAD)
