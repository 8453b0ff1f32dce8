"""Checkpoints and pushes count as the worker's own by its records alone, whatever else is on the server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from kiro_local.github.model import Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.errors import BuildStopped
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.outcomes import Outcome
from kiro_worker.records.checkpoints import (
    CheckpointRecord,
    KeptWork,
    checkpoint_ref,
    note_checkpoint,
    read_checkpoint,
)
from kiro_worker.records.runs import RunRecord, note_push
from kiro_worker.records.table import RecordsTable
from kiro_worker.runner.repository.checkout import HISTORY_DEPTH, Checkout, check_out
from kiro_worker.runner.repository.checkpoint import Checkpoint
from kiro_worker.runner.repository.commit import with_file
from kiro_worker.runner.repository.own_push import pushed_before_pinned, pushed_since_pinned
from kiro_worker.runner.repository.push_check import check_push
from kiro_worker.runner.request import BuildRequest
from tests.support.memory_dynamodb import MemoryDynamoDB
from tests.support.worker import BRANCH, CHECKPOINT, EXECUTION, PASSWORD

REPOSITORY = "acme/shop"
TRAILERS = f"Implement 1.1 It\n\nKiro-Worker-Execution: {EXECUTION}\nKiro-Worker-Task: 1.1 It [1-0]\n"


@dataclass
class Build:
    """What a build has after its checkout, and what it logged about the checkpoint."""

    checkout: Checkout
    checkpoint: Checkpoint
    log: list[str]

    def begin(self) -> KeptWork:
        """Look for a checkpoint, and check that pushes are accepted."""
        return check_push(self.checkout, self.checkpoint, self.checkpoint.resume())

    def kept(self, commit: str) -> KeptWork:
        """The work up to ``commit``, all of it finished."""
        return KeptWork(commit, self.checkout.commit, commit)

    def work(self, name: str, parent: str = "") -> str:
        """Return a commit that finishes a task, as the agent's turn makes it."""
        tree = with_file(self.checkout, name, b"x\n")
        arguments = ("commit-tree", tree, "-p", parent or self.checkout.commit)
        return self.checkout.git.run(*arguments, stdin=TRAILERS.encode()).decode().strip()


@dataclass
class Server:
    """A repository on the stand-in GitHub, and the records of all builds."""

    github: StandInGitHub
    repository: Repository
    folder: Path
    records: RecordsTable = field(default_factory=lambda: RecordsTable(cast("Any", MemoryDynamoDB()), "records"))
    builds: int = 0

    def build(self, commit: str = "", *, records: bool = True) -> Build:
        """Start another build of the branch, in a new folder."""
        self.builds += 1
        lease = Lease("work-item-processor-lock", EXECUTION, 1, expires_at=0)
        head = self.repository.git.head_of(BRANCH) or ""
        request = BuildRequest(REPOSITORY, BRANCH, commit or head, ".kiro/specs/feature-discounts", 1, lease)
        workspace = self.folder / f"build-{self.builds}"
        parent = {"PATH": os.environ["PATH"]}
        checkout = check_out(request, workspace, self.github.git_url, GitCredentials("git", PASSWORD), parent)
        log: list[str] = []
        return Build(checkout, Checkpoint(request, checkout, self.records if records else None, log.append), log)

    def at(self, ref: str = CHECKPOINT) -> str:
        found = self.repository.git.refs().get(ref)
        return found.oid if found else ""

    def put(self, commit: str, ref: str = CHECKPOINT) -> None:
        """Let somebody push to the ref; without a commit, delete it."""
        self.repository.git.run("update-ref", *((ref, commit) if commit else ("-d", ref)))

    def tempting(self) -> str:
        """A commit that looks exactly like the worker's own checkpoint."""
        self.repository.git.commit("theirs", {"evil.py": "x\n"}, TRAILERS, base=BRANCH)
        commit = self.repository.git.head_of("theirs") or ""
        self.repository.git.delete_branch("theirs")
        return commit

    def record(self) -> CheckpointRecord:
        found = read_checkpoint(self.records, REPOSITORY, BRANCH)
        assert found
        return found

    def interrupted(self, *names: str) -> tuple[str, ...]:
        """Run a build that saves a checkpoint for each task and then dies. Return the commits."""
        build, commits = self.build(), list[str]()
        commit = build.begin().commit
        for name in names:
            commit = build.work(name, commit)
            assert build.checkpoint.save(build.kept(commit))
            commits.append(commit)
        return tuple(commits)


@pytest.fixture
def server(github: StandInGitHub, tmp_path: Path) -> Server:
    repository = github.board.add_repository(REPOSITORY)
    repository.git.commit("main", {"README.md": "# shop\n"}, "Begin")
    repository.git.commit(BRANCH, {"shop.py": "PRICE = 1\n"}, "Change", base="main")
    return Server(github, repository, tmp_path)


def test_first_push_holds_no_work(server: Server) -> None:
    build = server.build()

    assert build.begin() == KeptWork.none_at(build.checkout.commit)
    assert server.at() == build.checkout.commit
    assert not build.checkpoint.has_work
    assert server.record() == CheckpointRecord(KeptWork.none_at(server.at()), None, EXECUTION, frozenset())

    build.checkpoint.drop()
    assert server.at() == ""


def test_left_first_push_is_no_work_and_is_checked_again(server: Server) -> None:
    server.build().begin()
    build = server.build()
    server.github.requests.clear()

    build.begin()

    pushes = [request for request in server.github.requests.git("git-receive-pack") if request.status == 200]
    assert len(pushes) == 2, "a removal and a push"
    assert (server.at(), build.checkpoint.has_work) == (build.checkout.commit, False)


def test_own_checkpoint_is_resumed_and_replaced_by_copy(server: Server) -> None:
    *_, last = server.interrupted("a.py", "b.py")
    build = server.build()

    start = build.begin()

    assert start == build.kept(server.at())
    assert start.commit != last, "the push changed the ref, or it would prove nothing"
    git = build.checkout.git
    assert git.text("rev-parse", f"{start.commit}^{{tree}}", f"{start.commit}^") == git.text(
        "rev-parse", f"{last}^{{tree}}", f"{last}^"
    )
    assert server.record() == CheckpointRecord(start, build.kept(last), EXECUTION, frozenset())


@pytest.mark.parametrize("had_own", [False, True], ids=["never had one", "overwritten"])
def test_foreign_checkpoint_is_ignored_and_replaced(server: Server, had_own: bool) -> None:
    if had_own:
        server.interrupted("a.py")
    server.put(tempting := server.tempting())
    build = server.build()

    start = build.begin()

    assert start.commit == build.checkout.commit == server.at()
    assert build.checkpoint.ignored == tempting
    assert any(tempting in line and "was not recorded by this worker" in line for line in build.log)
    assert server.record().previous is None, "the record must never name it"
    server.put(tempting)
    assert server.build().begin().commit == build.checkout.commit


def test_foreign_checkpoint_without_records_is_ignored(server: Server) -> None:
    server.interrupted("a.py")
    build = server.build(records=False)

    assert build.checkpoint.resume().commit == build.checkout.commit
    assert build.checkpoint.ignored == server.at()
    assert "cannot be compared with the worker's records" in build.log[0]


def test_deleted_checkpoint_starts_over(server: Server) -> None:
    server.interrupted("a.py")
    server.put("")
    build = server.build()

    assert build.begin().commit == build.checkout.commit
    assert build.checkpoint.ignored == ""


def test_checkpoint_that_cannot_be_removed_holds_no_work(server: Server) -> None:
    """The branch has its work. If a person removes that from the branch, it must not come back."""
    build = server.build()
    build.begin()
    assert build.checkpoint.save(build.kept(build.work("a.py")))
    server.github.faults.add("forbidden", "git-receive-pack", times=None)
    build.checkpoint.drop()
    server.github.faults.clear()
    assert server.at()

    later = server.build()

    assert later.begin() == KeptWork.none_at(later.checkout.commit)
    assert (later.checkpoint.ignored, later.checkpoint.has_work) == ("", False)
    assert server.at() == later.checkout.commit


def test_previous_checkpoint_is_resumed(server: Server) -> None:
    """The build recorded the second task and died before its push."""
    (first,) = server.interrupted("a.py")
    base = server.repository.git.head_of(BRANCH) or ""
    note_checkpoint(
        server.records,
        REPOSITORY,
        BRANCH,
        CheckpointRecord(KeptWork("d" * 40, base), KeptWork(first, base, first), EXECUTION),
    )
    build = server.build()

    assert build.checkpoint.resume() == build.kept(first)


def test_older_own_checkpoint_is_not_resumed(server: Server) -> None:
    first, *_ = server.interrupted("a.py", "b.py", "c.py")
    server.put(first)
    build = server.build()

    assert build.checkpoint.resume().commit == build.checkout.commit
    assert build.checkpoint.ignored == first


def test_record_of_other_branch_does_not_count(server: Server) -> None:
    (kept,) = server.interrupted("a.py")
    record = server.record()
    server.records = RecordsTable(cast("Any", MemoryDynamoDB()), "records")
    note_checkpoint(server.records, REPOSITORY, f"{BRANCH}-2", record)
    note_checkpoint(server.records, "acme/other", BRANCH, record)
    build = server.build()

    assert build.checkpoint.resume().commit == build.checkout.commit
    assert build.checkpoint.ignored == kept


def test_checkpoint_overwritten_during_build_is_replaced(server: Server) -> None:
    build = server.build()
    build.begin()
    server.put(tempting := server.tempting())

    assert build.checkpoint.save(work := build.kept(build.work("a.py")))

    assert (server.at(), build.checkpoint.ignored) == (work.commit, tempting)
    assert server.record() == CheckpointRecord(work, None, EXECUTION, frozenset())


@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "only removed"])
def test_removed_commits_of_branch_do_not_come_back(server: Server, replaced: bool) -> None:
    """A person removed the branch's last commit after the checkpoint was pushed."""
    git = server.repository.git
    before = git.head_of(BRANCH) or ""
    git.commit(BRANCH, {"secret.py": "x\n"}, "Too much")
    server.interrupted("a.py")
    server.put(before, f"refs/heads/{BRANCH}")
    if replaced:
        git.commit(BRANCH, {"NEWS.md": "x\n"}, "By a person")
    build = server.build()

    start = build.begin()

    names = build.checkout.git.text("ls-tree", "--name-only", start.commit).split()
    assert ("a.py" in names, "NEWS.md" in names) == (True, replaced)
    assert "secret.py" not in names
    assert server.at() == start.commit != build.checkout.commit


def test_unusable_checkpoint_is_not_lost_before_new_work(server: Server) -> None:
    base = server.repository.git.head_of(BRANCH) or ""
    (kept,) = server.interrupted("a.py")
    server.repository.git.commit(BRANCH, {"a.py": "theirs\n"}, "By a person")
    build = server.build()

    assert build.begin().commit == build.checkout.commit
    assert build.checkpoint.has_work
    assert server.repository.git.run("show", f"{CHECKPOINT}:a.py") == b"x\n"
    assert server.record().previous == KeptWork(kept, base, kept)


def test_contained_checkpoint_is_no_work(server: Server) -> None:
    (kept,) = server.interrupted("a.py")
    server.put(kept, f"refs/heads/{BRANCH}")
    server.repository.git.commit(BRANCH, {"NEWS.md": "x\n"}, "By a person")
    build = server.build()

    assert build.begin().commit == build.checkout.commit == server.at()
    assert not build.checkpoint.has_work


def test_lost_answer_is_found_by_next_save(server: Server) -> None:
    """The push of the first task arrives, and neither its answer nor the next request does."""
    build = server.build()
    build.begin()
    first = build.work("a.py")
    server.github.on_request = _unreachable_after(server, first)
    build.checkout.git._retries = replace(build.checkout.git._retries, sleep=lambda _: None)
    assert not build.checkpoint.save(build.kept(first))
    assert server.at() == first
    server.github.on_request = lambda _: None
    assert server.record().work_at(first), "it must stay the worker's own"

    assert build.checkpoint.save(build.kept(second := build.work("b.py", first)))

    assert server.at() == second
    assert server.record() == CheckpointRecord(build.kept(second), build.kept(first), EXECUTION, frozenset())
    assert build.checkpoint.ignored == ""


def _unreachable_after(server: Server, commit: str) -> Callable[[str], None]:
    server.github.faults.add("lost_answer", "git-receive-pack")

    def fail(operation: str) -> None:
        if server.at() == commit and not server.github.faults.pending():
            raise ConnectionResetError("unreachable")

    return fail


@pytest.mark.parametrize("hidden", [True, False], ids=["archived", "read-only token"])
def test_refused_push_stops_before_agent(server: Server, hidden: bool) -> None:
    if hidden:
        server.repository.is_archived = True
    else:
        server.github.faults.add("forbidden", "git-receive-pack", times=None)
    build = server.build()

    with pytest.raises(BuildStopped, match="the agent was not started") as stopped:
        build.begin()

    assert stopped.value.outcome is Outcome.PUSH_REJECTED
    assert ("archived" if hidden else "the git credentials may not do this") in stopped.value.reason
    assert (server.at(), build.checkpoint.has_work) == ("", False)


@pytest.mark.parametrize("blocking", ["feature", f"{BRANCH}/more", f"{BRANCH}/$(id)"])
def test_conflicting_checkpoint_is_named(server: Server, blocking: str) -> None:
    server.put(server.repository.git.head_of("main") or "", checkpoint_ref(blocking))
    build = server.build()

    with pytest.raises(BuildStopped) as stopped:
        build.begin()

    assert f"cannot exist beside {checkpoint_ref(blocking)}, left by a deleted branch" in stopped.value.reason
    assert "git push origin --delete" in stopped.value.remedy
    assert "$(id)" not in stopped.value.remedy or f"'{checkpoint_ref(blocking)}'" in stopped.value.remedy


def recorded(*commits: str) -> Iterable[str]:
    return frozenset(commits)


def test_own_push_is_found_below_other_pushes(server: Server) -> None:
    git = server.repository.git
    pinned = git.head_of(BRANCH) or ""
    own = git.commit(BRANCH, {"a.py": "x\n"}, "Implement 1")
    git.commit(BRANCH, {"b.py": "x\n"}, "By a person")

    assert pushed_since_pinned(server.build(pinned).checkout, recorded(own, "e" * 40)) == own
    assert pushed_since_pinned(server.build(own).checkout, recorded(own)) == own
    later = server.build().checkout
    assert pushed_since_pinned(later, recorded(own)) == ""
    assert pushed_before_pinned(later, recorded(own, "e" * 40)) == own


def test_old_own_push_is_found(server: Server) -> None:
    git = server.repository.git
    own = git.commit(BRANCH, {"a.py": "x\n"}, "Implement 1")
    for number in range(HISTORY_DEPTH + 5):
        git.commit(BRANCH, {"NEWS.md": f"{number}\n"}, "By a person")

    assert pushed_before_pinned(server.build().checkout, recorded(own)) == own


def test_removed_and_forged_pushes_do_not_count(server: Server) -> None:
    git = server.repository.git
    pinned = git.head_of(BRANCH) or ""
    own = git.commit(BRANCH, {"a.py": "x\n"}, TRAILERS)
    server.put(pinned, f"refs/heads/{BRANCH}")
    git.commit(BRANCH, {"evil.py": "x\n"}, TRAILERS)

    for checkout in (server.build(pinned).checkout, server.build().checkout):
        assert pushed_since_pinned(checkout, recorded(own)) == ""
        assert pushed_before_pinned(checkout, recorded(own)) == ""


def test_work_pushed_as_one_commit_does_not_come_back(server: Server) -> None:
    """The build died after the push, and a person then removed a part of the work."""
    base = server.at(f"refs/heads/{BRANCH}")
    *_, last = server.interrupted("one.py", "two.py")
    squashed = server.repository.git.commit(BRANCH, {"one.py": "x\n", "two.py": "x\n"}, "Squashed")
    server.repository.git.commit(BRANCH, {"two.py": None}, "Remove a part")
    build = server.build()
    assert build.checkpoint.resume().commit != build.checkout.commit, "unknown work is added to the branch"

    note_push(server.records, RunRecord(EXECUTION, REPOSITORY, BRANCH), squashed)
    build = server.build()

    assert build.checkpoint.resume() == KeptWork.none_at(build.checkout.commit)
    assert not build.checkpoint.has_work
    assert (server.at(), base) == (last, build.checkout.git.text("rev-parse", f"{squashed}^"))
