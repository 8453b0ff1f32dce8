"""What a build resumes when people rewrite the branch: nothing that they removed, and all of the worker's own work."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from kiro_worker.models import Lease
from kiro_worker.records.checkpoints import CheckpointRecord, KeptWork, note_checkpoint
from kiro_worker.records.table import RecordsTable
from kiro_worker.runner.repository.checkout import Checkout
from kiro_worker.runner.repository.checkpoint import Checkpoint
from kiro_worker.runner.request import BuildRequest
from tests.support.bare_repository import bare_repository, write_blob
from tests.support.memory_dynamodb import MemoryDynamoDB
from tests.support.worker import BRANCH, EXECUTION

REPOSITORY = "acme/shop"


class History:
    """A repository in which every commit adds a file of its own, so that every part of it applies to every other.

    ``head`` is where the branch is, ``kept`` what the worker recorded, and ``on_server`` the checkpoint's ref.
    """

    def __init__(self, folder: Path) -> None:
        self.git = bare_repository(folder)
        self.records = RecordsTable(cast("Any", MemoryDynamoDB()), "records")
        self.count = 0
        self.head = self.commit({}, "start")
        self.kept: KeptWork | None = None
        self.on_server = ""
        self.log: list[str] = []

    def files(self, commit: str) -> dict[str, str]:
        lines = self.git.text("ls-tree", commit).splitlines()
        return {line.partition("\t")[2]: line.split()[2] for line in lines}

    def commit(self, files: dict[str, str], name: str = "", *parents: str) -> str:
        """Return a commit of ``files`` and a new one that is called ``name`` and a number."""
        if name:
            self.count += 1
            files = files | {f"{name}{self.count}": write_blob(self.git, f"{self.count}\n".encode())}
        listing = "".join(f"100644 blob {blob}\t{path}\n" for path, blob in files.items())
        tree = self.git.run("mktree", stdin=listing.encode()).decode().strip()
        words = [word for parent in parents for word in ("-p", parent)]
        return self.git.run("commit-tree", tree, *words, stdin=b"x\n").decode().strip()

    def person_commits(self) -> str:
        self.head = self.commit(self.files(self.head), "person", self.head)
        return self.head

    def person_removes(self, path: str) -> None:
        files = self.files(self.head)
        del files[path]
        self.head = self.commit(files, "", self.head)

    def person_merges(self, other: str) -> None:
        self.head = self.commit(self.files(other) | self.files(self.head), "", self.head, other)

    def descends(self, commit: str, ancestor: str) -> bool:
        return self.git.succeeds("merge-base", "--is-ancestor", ancestor, commit)

    def own_commits(self) -> dict[str, str]:
        """The files that the checkpoint adds, and the commits that add them."""
        if not self.kept:
            return {}
        lines = self.git.text("rev-list", "--reverse", f"{self.kept.base}..{self.kept.commit}").splitlines()
        added = {}
        for commit in lines:
            [path] = self.files(commit).keys() - self.files(f"{commit}^").keys()
            added[path] = commit
        return added

    def expected(self) -> set[str]:
        """The files that a build starts with: the branch's, and those of the worker that were never on the branch."""
        lacking = {path for path, commit in self.own_commits().items() if not self.descends(self.head, commit)}
        return set(self.files(self.head)) | lacking

    def resume(self) -> KeptWork:
        lease = Lease("work-item-processor-lock", EXECUTION, 1, expires_at=0)
        request = BuildRequest(REPOSITORY, BRANCH, self.head, ".kiro/specs/x", 1, lease)
        checkout = Checkout(self.git.work_tree, self.git, BRANCH, self.head, self.head, checkpoint=self.on_server)
        return Checkpoint(request, checkout, self.records, self.log.append).resume()

    def build(self, tasks: int, *, last_is_half_done: bool = False, last_push_arrives: bool = True) -> None:
        """Resume, and keep as many tasks. The build can die between the record of the last one and its push."""
        work, previous = self.resume(), self.kept
        for number in range(1, tasks + 1):
            commit = self.commit(self.files(work.commit), "task", work.commit)
            half_done = last_is_half_done and number == tasks
            before, work = work, KeptWork(commit, self.head, work.finished if half_done else commit)
            previous = self.kept if number == 1 else before
            note_checkpoint(self.records, REPOSITORY, BRANCH, CheckpointRecord(work, previous, EXECUTION))
            if number < tasks or last_push_arrives:
                self.kept, self.on_server = work, commit
            else:
                self.kept = previous

    def require_resumed(self) -> None:
        work = self.resume()
        assert set(self.files(work.commit)) == self.expected(), "\n".join(self.log)
        assert work.base == self.head
        assert self.descends(work.commit, work.finished)
        assert self.descends(work.finished, self.head)
        if self.kept and self.kept.finished == self.kept.commit:
            assert work.finished == work.commit


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def keep(history: History) -> None:
    """Keep two tasks on top of two commits of a person."""
    history.person_commits()
    history.person_commits()
    history.build(2)


def push_part(history: History) -> str:
    """Let a person push the first task to the branch, and return its file."""
    [path, *_], [first, *_] = history.own_commits().keys(), history.own_commits().values()
    history.head = first
    return path


def push_part_and_remove_it(history: History) -> None:
    path = push_part(history)
    history.person_removes(path)


def replace_last(history: History) -> None:
    history.head = history.git.text("rev-parse", f"{history.head}^")
    history.person_commits()


def start_anew(history: History) -> None:
    history.head = history.commit({}, "other")


RELATIONS: dict[str, tuple[Callable[[History], object], set[str]]] = {
    "unmoved": (lambda _: None, {"start1", "person2", "person3", "task4", "task5"}),
    "ahead": (History.person_commits, {"start1", "person2", "person3", "task4", "task5", "person6"}),
    "reset": (
        lambda history: setattr(history, "head", history.git.text("rev-parse", f"{history.head}~2")),
        {"start1", "task4", "task5"},
    ),
    "last commit replaced": (replace_last, {"start1", "person2", "task4", "task5", "person6"}),
    "unrelated": (start_anew, {"other6", "task4", "task5"}),
    "has first task": (push_part, {"start1", "person2", "person3", "task4", "task5"}),
    "removed first task": (push_part_and_remove_it, {"start1", "person2", "person3", "task5"}),
    "has all tasks": (
        lambda history: setattr(history, "head", history.on_server),
        {"start1", "person2", "person3", "task4", "task5"},
    ),
}


@pytest.mark.parametrize("relation", RELATIONS)
def test_work_is_what_is_above_its_base(history: History, relation: str) -> None:
    rewrite, names = RELATIONS[relation]
    keep(history)
    rewrite(history)

    assert set(history.files(history.resume().commit)) == names
    assert history.expected() == names
    history.require_resumed()


@pytest.mark.parametrize("rewrite", [lambda _: None, History.person_commits, replace_last])
def test_half_done_work_stays_half_done(history: History, rewrite: Callable[[History], object]) -> None:
    history.person_commits()
    history.build(2, last_is_half_done=True)
    rewrite(history)

    work = history.resume()

    assert history.files(work.commit).keys() - history.files(work.finished).keys() == {"task4"}
    assert "task3" in history.files(work.finished)


def test_previous_checkpoint_has_its_own_base(history: History) -> None:
    """The build died between the record of a rebased checkpoint and its push."""
    keep(history)
    replace_last(history)
    history.build(1, last_push_arrives=False)

    history.require_resumed()
    assert "person3" not in history.files(history.resume().commit)


@pytest.mark.parametrize("is_previous", [False, True])
def test_record_of_earlier_version_is_read(history: History, is_previous: bool) -> None:
    """It has no more than two commits and one base: nothing counts as half done, and removed commits stay removed."""
    keep(history)
    assert history.kept
    dynamodb = cast("MemoryDynamoDB", history.records._dynamodb)
    item = dynamodb.items[f"branch#{REPOSITORY}#{BRANCH}"]
    for name in ("finished", "unfinished", "previousBase", "previousFinished", "previousUnfinished"):
        del item[name]
    if is_previous:
        item |= {"checkpoint": {"S": "d" * 40}, "previous": {"S": history.on_server}}
    history.require_resumed()
    replace_last(history)
    history.require_resumed()


def test_work_without_its_base_starts_over(history: History) -> None:
    keep(history)
    other = history.commit({}, "other")
    work = KeptWork(history.on_server, other, history.on_server)
    note_checkpoint(history.records, REPOSITORY, BRANCH, CheckpointRecord(work, None, EXECUTION))

    assert history.resume() == KeptWork.none_at(history.head)


@settings(
    max_examples=15,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_removed_commits_stay_removed_and_no_work_is_lost(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        seen = [history.head, history.person_commits(), history.person_commits()]
        history.build(2)
        for _ in range(data.draw(st.integers(1, 5), "acts")):
            match data.draw(st.sampled_from(["build", "commit", "reset", "remove", "merge"]), "act"):
                case "build":
                    tasks = data.draw(st.integers(1, 3), "tasks")
                    half_done, arrives = data.draw(st.booleans(), "half done"), data.draw(st.booleans(), "arrives")
                    history.build(tasks, last_is_half_done=half_done, last_push_arrives=arrives)
                case "commit":
                    history.person_commits()
                case "reset":
                    history.head = data.draw(st.sampled_from([*seen, *history.own_commits().values()]), "to")
                case "remove" if files := sorted(history.files(history.head)):
                    history.person_removes(data.draw(st.sampled_from(files), "file"))
                case "merge":
                    history.person_merges(data.draw(st.sampled_from([*seen, *history.own_commits().values()]), "what"))
            seen.append(history.head)
            history.require_resumed()
