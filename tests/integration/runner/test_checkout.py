"""What a checkout fetches from a real git server, and what it rejects."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kiro_local.github.git_repository import Content, Submodule, Symlink
from kiro_local.github.model import Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.errors import BuildStopped
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.outcomes import Outcome
from kiro_worker.records.checkpoints import checkpoint_ref
from kiro_worker.runner.repository.checkout import HISTORY_DEPTH, Checkout, check_out, fetch_default_branch
from kiro_worker.runner.repository.entries import find_entry
from kiro_worker.runner.request import BuildRequest

BRANCH = "feature/discounts"
NO_FILTER = ("uploadpackfilter.allow", "false")


@pytest.fixture
def repository(github: StandInGitHub) -> Repository:
    repository = github.board.add_repository("acme/shop")
    repository.git.commit("main", {"README.md": "# first\n"}, "Begin")
    repository.git.commit("main", {"README.md": "# shop\n"}, "Continue")
    repository.git.commit(BRANCH, {"shop.py": "PRICE = 1\n", "tool/run": "x\n"}, "Change", base="main")
    return repository


@pytest.fixture
def workspace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def checked_out(
    github: StandInGitHub, repository: Repository, workspace: Path, commit: str = "", default: str = ""
) -> Checkout:
    lease = Lease("work-item-processor-lock", "arn:aws:states:x:1:execution:w:run-1", 1, expires_at=0)
    commit = commit or repository.git.head_of(BRANCH) or ""
    spec = ".kiro/specs/feature-discounts"
    request = BuildRequest("acme/shop", BRANCH, commit, spec, 1, lease, default_commit=default)
    credentials = GitCredentials("git", "p4ss/w0rd+of=the&worker")
    return check_out(request, workspace, github.git_url, credentials, {"PATH": os.environ["PATH"]})


def failure(github: StandInGitHub, repository: Repository, workspace: Path) -> str:
    with pytest.raises(BuildStopped) as stopped:
        checked_out(github, repository, workspace)
    assert stopped.value.outcome is Outcome.CHECKOUT_FAILED
    return stopped.value.reason


def test_only_commits_blobs_are_fetched(github: StandInGitHub, repository: Repository, workspace: Path) -> None:
    checkout = checked_out(github, repository, workspace)

    assert checkout.fetch_mode == "--filter=blob:none"
    old = repository.git.run("rev-parse", "main~1:README.md").decode().strip()
    assert not checkout.git.succeeds("cat-file", "-e", old)
    assert (checkout.folder / "README.md").read_text() == "# shop\n"
    assert checkout.git.text("rev-list", "--count", checkout.commit) == "3"


def test_refused_filter_fetches_last_commit(github: StandInGitHub, repository: Repository, workspace: Path) -> None:
    repository.git.run("config", *NO_FILTER)

    checkout = checked_out(github, repository, workspace)

    assert checkout.fetch_mode == "--depth=1"
    assert checkout.git.text("rev-list", "--count", checkout.commit) == "1"
    assert (checkout.folder / "shop.py").read_text() == "PRICE = 1\n"


def test_everything_is_fetched_for_older_commit(github: StandInGitHub, repository: Repository, workspace: Path) -> None:
    repository.git.run("config", *NO_FILTER)
    commit = repository.git.head_of(BRANCH) or ""
    head = repository.git.commit(BRANCH, {"shop.py": "PRICE = 2\n"}, "By a person")

    checkout = checked_out(github, repository, workspace, commit)

    assert checkout.fetch_mode == ""
    assert (checkout.commit, checkout.head) == (commit, head)
    assert (checkout.folder / "shop.py").read_text() == "PRICE = 1\n"


def add_commits(repository: Repository, count: int) -> str:
    """Add ``count`` empty commits to the branch. Returns its head."""
    head = str(repository.git.head_of(BRANCH))
    tree = repository.git.run("rev-parse", f"{head}^{{tree}}").decode().strip()
    for number in range(count):
        words = ("commit-tree", tree, "-p", head, "-m", f"Change {number}")
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.invalid")
        head = repository.git.run(*identity, *words).decode().strip()
    repository.git.run("update-ref", f"refs/heads/{BRANCH}", head)
    return head


def test_agent_can_read_recent_history(github: StandInGitHub, repository: Repository, workspace: Path) -> None:
    head = add_commits(repository, HISTORY_DEPTH + 10)

    checkout = checked_out(github, repository, workspace)

    log = subprocess.run(["git", "log", "--format=%s"], cwd=checkout.folder, capture_output=True, text=True, check=True)
    assert log.stdout.splitlines()[0] == f"Change {HISTORY_DEPTH + 9}"
    assert len(log.stdout.splitlines()) == HISTORY_DEPTH
    assert checkout.head == head


def test_old_commit_is_found_on_its_branch(github: StandInGitHub, repository: Repository, workspace: Path) -> None:
    commit = str(repository.git.head_of(BRANCH))
    head = add_commits(repository, HISTORY_DEPTH + 10)

    checkout = checked_out(github, repository, workspace, commit)

    assert (checkout.fetch_mode, checkout.commit, checkout.head) == ("--filter=blob:none", commit, head)
    assert checkout.git.text("rev-list", "--count", head) == str(HISTORY_DEPTH + 13)
    old = repository.git.run("rev-parse", "main~1:README.md").decode().strip()
    assert not checkout.git.succeeds("cat-file", "-e", old), "old blobs stay on the server"


def test_one_request_fetches_all_branches(github: StandInGitHub, repository: Repository, workspace: Path) -> None:
    kept = repository.git.commit("kept", {"new.py": "x\n"}, "Keep", base=BRANCH)
    repository.git.run("update-ref", checkpoint_ref(BRANCH), kept)
    repository.git.run("update-ref", checkpoint_ref(f"other/{BRANCH}"), kept)

    checkout = checked_out(github, repository, workspace)

    assert (checkout.default, checkout.checkpoint) == (repository.git.head_of("main"), kept)
    assert "other" not in checkout.git.text("for-each-ref", "--format=%(refname)")
    # The refs, the commits, and then the blobs of the one commit.
    packs = [request for request in github.requests.git("git-upload-pack") if request.status == 200]
    assert len(packs) == 3


def test_ignored_filter_fetches_everything(github: StandInGitHub, repository: Repository, workspace: Path) -> None:
    repository.git.run("config", "uploadpack.allowFilter", "false")

    checkout = checked_out(github, repository, workspace)

    old = repository.git.run("rev-parse", "main~1:README.md").decode().strip()
    assert checkout.git.succeeds("cat-file", "-e", old)


@pytest.mark.parametrize(
    "setting", [("uploadpack.allowFilter", "true"), NO_FILTER, ("uploadpack.allowFilter", "false")]
)
def test_every_fetch_mode_can_compare_and_push(
    github: StandInGitHub, repository: Repository, workspace: Path, setting: tuple[str, str]
) -> None:
    repository.git.run("config", *setting)
    newest = repository.git.commit("main", {"README.md": "# shop, open\n"}, "Open the shop")
    checkout = checked_out(github, repository, workspace)
    git = checkout.git

    assert fetch_default_branch(checkout) == newest
    assert git.text("diff-tree", "-r", "--name-only", newest, checkout.commit).split() == [
        *("README.md", "shop.py", "tool/run"),
    ]
    (checkout.folder / "shop.py").write_text("PRICE = 3\n")
    git.run("add", "--all", in_work_tree=True)
    commit = git.text("commit-tree", git.text("write-tree"), "-p", checkout.commit, "-m", "x")
    git.network("push", "--quiet", "origin", f"{commit}:refs/heads/{BRANCH}")
    assert repository.git.head_of(BRANCH) == commit
    assert repository.git.run("rev-list", "--count", BRANCH) == b"4\n"


@pytest.mark.parametrize("refuses_unadvertised", [False, True])
@pytest.mark.parametrize("setting", [("uploadpack.allowFilter", "true"), NO_FILTER])
def test_recorded_commit_of_default_branch_is_used(
    github: StandInGitHub,
    repository: Repository,
    workspace: Path,
    refuses_unadvertised: bool,
    setting: tuple[str, str],
) -> None:
    repository.refuses_unadvertised = refuses_unadvertised
    repository.git.run("config", *setting)
    recorded = str(repository.git.head_of("main"))
    repository.git.commit("main", {"README.md": "# shop, open\n"}, "Open the shop")

    checkout = checked_out(github, repository, workspace, default=recorded)

    assert (checkout.default, fetch_default_branch(checkout)) == (recorded, recorded)
    assert find_entry(checkout.git, recorded, "README.md")


@pytest.mark.parametrize("refuses_unadvertised", [False, True])
def test_recorded_commit_beyond_fetched_history_is_used(
    github: StandInGitHub, repository: Repository, workspace: Path, refuses_unadvertised: bool
) -> None:
    repository.refuses_unadvertised = refuses_unadvertised
    recorded = str(repository.git.head_of("main"))
    for number in range(HISTORY_DEPTH + 5):
        repository.git.commit("main", {"NEWS.md": f"{number}\n"}, "By a person")

    assert checked_out(github, repository, workspace, default=recorded).default == recorded


def test_rewritten_default_branch_fails_checkout_if_its_commit_is_refused(
    github: StandInGitHub, repository: Repository, workspace: Path
) -> None:
    recorded = repository.git.commit("main", {"README.md": "# shop, open\n"}, "Open the shop")
    repository.git.run("update-ref", "refs/heads/main", f"{recorded}~1")
    assert checked_out(github, repository, workspace, default=recorded).default == recorded
    repository.refuses_unadvertised = True

    with pytest.raises(BuildStopped, match=f"{recorded} is no longer on the default branch") as stopped:
        checked_out(github, repository, workspace, default=recorded)

    assert stopped.value.outcome is Outcome.CHECKOUT_FAILED


def test_links_inside_tree_are_kept(github: StandInGitHub, repository: Repository, workspace: Path) -> None:
    links = {"CLAUDE.md": Symlink("README.md"), "tool/here": Symlink(".."), "to-be": Symlink("not/yet/there")}
    commit = repository.git.commit(BRANCH, links, "Link")

    checkout = checked_out(github, repository, workspace)

    assert (checkout.folder / "CLAUDE.md").readlink() == Path("README.md")
    checkout.git.run("add", "--all", in_work_tree=True)
    assert checkout.git.text("write-tree") == checkout.git.text("rev-parse", f"{commit}^{{tree}}")


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"passwd": Symlink("/etc/passwd")}, "'passwd'"),
        ({"tool/up": Symlink("../../logs/worker.log")}, "'tool/up'"),
        ({"config": Symlink(".git/config")}, "'config'"),
        ({"deep/er/root": Symlink("../.."), "deep/out": Symlink("er/root/../logs")}, "'deep/out'"),
        ({"a": Symlink("b"), "b": Symlink("../x")}, "'a', 'b'"),
    ],
)
def test_links_out_of_tree_are_rejected(
    github: StandInGitHub, repository: Repository, workspace: Path, files: dict[str, Symlink], named: str
) -> None:
    commit = repository.git.commit(BRANCH, files, "Link")

    reason = f"symbolic links of {BRANCH} at {commit[:12]} leave the repository: {named}"
    assert failure(github, repository, workspace) == reason


def test_submodules_and_lfs_are_left_out(github: StandInGitHub, repository: Repository, workspace: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 9\n"
    files: dict[str, Content] = {
        ".gitmodules": '[submodule "lib"]\n\tpath = lib\n\turl = ext::sh -c "touch /tmp/owned"\n',
        "lib": Submodule("1" * 40),
        ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
        "large.bin": pointer,
    }
    commit = repository.git.commit(BRANCH, files, "More")

    checkout = checked_out(github, repository, workspace)

    assert list((checkout.folder / "lib").iterdir()) == []
    assert (checkout.folder / "large.bin").read_text() == pointer
    checkout.git.run("add", "--all", in_work_tree=True)
    assert checkout.git.text("write-tree") == checkout.git.text("rev-parse", f"{commit}^{{tree}}")


def test_other_branchs_commit_is_rejected(github: StandInGitHub, repository: Repository, workspace: Path) -> None:
    other = repository.git.commit("other", {"x": "x\n"}, "Other", base="main")

    with pytest.raises(BuildStopped, match="is no longer on feature/discounts"):
        checked_out(github, repository, workspace, other)


def test_missing_branches_are_named(github: StandInGitHub, repository: Repository, workspace: Path) -> None:
    earlier = replace(checked_out(github, repository, workspace), fetch_mode="", default="")
    repository.git.delete_branch("main")

    with pytest.raises(BuildStopped, match="default branch cannot be fetched"):
        fetch_default_branch(earlier)
    with pytest.raises(BuildStopped, match="default branch cannot be fetched"):
        checked_out(github, repository, workspace, earlier.commit)
    repository.git.delete_branch(BRANCH)
    with pytest.raises(BuildStopped, match="cannot be fetched"):
        checked_out(github, repository, workspace, earlier.commit)
