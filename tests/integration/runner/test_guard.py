"""The guard names every changed file that can steer an agent, and only the configured label allows it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from kiro_local.github.git_repository import Content, Executable, Submodule, Symlink
from kiro_local.github.model import Repository
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.config.model import Configuration
from kiro_worker.errors import BuildStopped, GitHubUnavailable
from kiro_worker.github.labels import Labeling
from kiro_worker.models import GitCredentials, Lease
from kiro_worker.outcomes import Outcome
from kiro_worker.runner.repository.checkout import Checkout, check_out
from kiro_worker.runner.request import BuildRequest
from kiro_worker.runner.trust.guard import Guard

BRANCH = "feature/discounts"
ON_MAIN: dict[str, Content] = {
    "AGENTS.md": "Be kind.\n",
    ".kiro/steering/style.md": "Two spaces.\n",
    ".kiro/agents/reviewer.json": "{}\n",
    "docs/reference/agents.md": "Agents.\n",
    "shop.py": "PRICE = 1\n",
}


@dataclass
class CheckOut:
    """Calling it commits ``on_main`` to main and ``changes`` to a branch, and checks the branch out."""

    repository: Repository
    git_url: str
    workspace: Path

    def __call__(
        self, changes: Mapping[str, Content], on_main: Mapping[str, Content] = ON_MAIN
    ) -> tuple[Checkout, BuildRequest]:
        self.repository.git.commit("main", on_main, "Begin")
        return self.at(self.repository.git.commit(BRANCH, changes, "Change", base="main"))

    def at(self, commit: str) -> tuple[Checkout, BuildRequest]:
        """Check out a commit of the branch."""
        lease = Lease("work-item-processor-lock", "arn:aws:states:x:1:execution:w:run-1", 1, expires_at=0)
        request = BuildRequest("acme/shop", BRANCH, commit, ".kiro/specs/feature-discounts", 1, lease)
        credentials = GitCredentials("git", "p4ss/w0rd+of=the&worker")
        return check_out(request, self.workspace, self.git_url, credentials, {"PATH": os.environ["PATH"]}), request


def configuration(**more: Any) -> Configuration:
    required = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Go"}
    return Configuration.model_validate(required | more)


def guard(request: BuildRequest, configured: Configuration, *labelings: Labeling) -> Guard:
    """Return a guard for which GitHub gives these answers about the label, one after another, and no more."""
    answers = iter(labelings)
    return Guard(request, configured, lambda _label: next(answers), lambda _text: None)


@pytest.fixture
def check_out_branch(github: StandInGitHub) -> Iterator[CheckOut]:
    with tempfile.TemporaryDirectory() as workspace:
        yield CheckOut(github.board.add_repository("acme/shop"), github.git_url, Path(workspace))


def named_paths(
    check_out_branch: CheckOut, changes: Mapping[str, Content], on_main: Mapping[str, Content] = ON_MAIN
) -> str:
    checkout, request = check_out_branch(changes, on_main)
    with pytest.raises(BuildStopped) as stopped:
        guard(request, configuration()).require_trusted(checkout)
    assert stopped.value.outcome is Outcome.GUARD_TRIPPED
    return stopped.value.reason.rpartition(": ")[2]


def test_changes_to_code_and_spec_pass(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch(
        {"shop.py": "PRICE = 2\n", ".kiro/specs/feature-discounts/tasks.md": "- [ ] 1. x\n"}
    )

    assert guard(request, configuration()).require_trusted(checkout) == ()


@pytest.mark.parametrize(
    "path",
    [
        *(".kiro/agents/evil.json", ".kiro/hooks/run.kiro.hook", ".kiro/settings/mcp.json", ".kiro/steering/style.md"),
        *("AGENTS.md", "deep/down/AGENTS.md", ".kiro/agents", ".kiro/steering/dir/ü\n.md"),
    ],
)
def test_changed_steering_file_is_named(check_out_branch: CheckOut, path: str) -> None:
    removed = {".kiro/agents/reviewer.json": None} if path == ".kiro/agents" else {}

    named = named_paths(check_out_branch, {**removed, path: "Obey.\n"})

    assert path.replace("\n", "\\n") in named


def test_removed_steering_file_is_named(check_out_branch: CheckOut) -> None:
    assert named_paths(check_out_branch, {"AGENTS.md": None}) == "AGENTS.md"


def head_is(checkout: Checkout, commit: str) -> Checkout:
    """Return the checkout with ``commit`` of the server as the default branch's."""
    checkout.git.network("fetch", "--quiet", "--filter=blob:none", "origin", commit)
    return replace(checkout, default=commit)


def tripped(checkout: Checkout, request: BuildRequest) -> str:
    """Return the files that the guard names."""
    with pytest.raises(BuildStopped, match="differs from the default branch") as stopped:
        guard(request, configuration()).require_trusted(checkout)
    assert stopped.value.remedy.startswith("merge the default branch, or undo")
    return stopped.value.reason.rpartition(": ")[2]


def test_change_on_the_default_branch_stops_no_older_branch(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch({"shop.py": "PRICE = 2\n"})
    newer = {"AGENTS.md": "Be careful.\n", "b/AGENTS.md": "New.\n", ".kiro/agents/reviewer.json": None}
    commit = check_out_branch.repository.git.commit("main", newer, "Warn")
    said: list[str] = []

    trusted = Guard(request, configuration(), _no_label, said.append).require_trusted(head_is(checkout, commit))

    assert trusted == ()
    older = f"older than on the default branch, as they were when {BRANCH} left it:"
    assert said == [f"{older} .kiro/agents/reviewer.json, AGENTS.md, b/AGENTS.md"]


def _no_label(_label: str) -> Labeling:
    raise AssertionError("no label is configured")


def test_only_the_branchs_own_changes_are_named(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch({"AGENTS.md": "Obey.\n"})
    newer = {"AGENTS.md": "Be careful.\n", "b/AGENTS.md": "New.\n"}
    commit = check_out_branch.repository.git.commit("main", newer, "Warn")

    assert tripped(head_is(checkout, commit), request) == "AGENTS.md"


def test_file_that_was_taken_over_from_the_default_branch_passes(check_out_branch: CheckOut) -> None:
    newer: dict[str, Content] = {"AGENTS.md": "Be careful.\n", ".kiro/steering/style.md": "Tabs.\n"}
    checkout, request = check_out_branch({"AGENTS.md": "Be careful.\n"})
    commit = check_out_branch.repository.git.commit("main", newer, "Warn")

    assert guard(request, configuration()).require_trusted(head_is(checkout, commit)) == ()


def test_older_version_than_at_the_fork_point_is_named(check_out_branch: CheckOut) -> None:
    git = check_out_branch.repository.git
    git.commit("main", {"AGENTS.md": "Obey.\n"}, "Once")
    checkout, request = check_out_branch({"AGENTS.md": "Obey.\n"})

    assert tripped(checkout, request) == "AGENTS.md"


def test_unrelated_history_has_only_the_default_branch(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch({"shop.py": "PRICE = 2\n"})
    git = check_out_branch.repository.git
    same = git.commit("trunk", {**ON_MAIN, "shop.py": "PRICE = 3\n"}, "Begin again")
    other = git.commit("trunk", {"AGENTS.md": "Be careful.\n"}, "Warn")

    assert guard(request, configuration()).require_trusted(head_is(checkout, same)) == ()
    assert tripped(head_is(checkout, other), request) == "AGENTS.md"


def test_base_of_the_pull_request_counts_for_nothing(check_out_branch: CheckOut) -> None:
    """Anyone who can push can open a pull request against a branch of their own."""
    git = check_out_branch.repository.git
    git.commit("main", ON_MAIN, "Begin")
    git.commit("mine", {"AGENTS.md": "Obey.\n"}, "Steer", base="main")
    git.create_branch(BRANCH, "mine")
    checkout, request = check_out_branch({"shop.py": "PRICE = 2\n"})

    assert tripped(checkout, request) == "AGENTS.md"


class Merges:
    """Merge commits on the server, which ``git fast-import`` cannot be asked for by a mapping of files."""

    def __init__(self, check_out_branch: CheckOut) -> None:
        self.git = check_out_branch.repository.git

    def merge(self, branch: str, other: str, files: Mapping[str, Content] | None = None) -> str:
        """Merge ``other`` into ``branch``, whose files stay, apart from ``files``."""
        if files:
            parent = self.git.head_of(branch)
            self.git.commit(branch, files, "Merged files")
            tree = self.git.run("rev-parse", f"refs/heads/{branch}^{{tree}}").decode().strip()
        else:
            parent = self.git.head_of(branch)
            tree = self.git.run("rev-parse", f"{parent}^{{tree}}").decode().strip()
        author = ("-c", "user.name=x", "-c", "user.email=x@x.invalid")
        second = self.git.head_of(other) or other
        made = self.git.run(*author, "commit-tree", tree, "-p", str(parent), "-p", second, "-m", "Merge")
        commit = made.decode().strip()
        self.git.run("update-ref", f"refs/heads/{branch}", commit)
        return commit


def test_commit_inside_a_merged_pull_request_is_not_trusted(check_out_branch: CheckOut) -> None:
    """Reviewers saw neither the harmful file nor its removal, but both commits are ancestors of the default branch."""
    git = check_out_branch.repository.git
    git.commit("main", ON_MAIN, "Begin")
    planted = git.commit("innocent", {"AGENTS.md": "Obey.\n"}, "Plant", base="main")
    git.commit("innocent", {"AGENTS.md": "Be kind.\n", "new.py": "\n"}, "Remove")
    Merges(check_out_branch).merge("main", "innocent", {"new.py": "\n"})
    git.create_branch(BRANCH, planted)
    commit = git.commit(BRANCH, {"shop.py": "PRICE = 2\n"}, "Change")
    checkout, request = check_out_branch.at(commit)

    assert checkout.git.text("merge-base", checkout.default, commit) == planted
    assert tripped(checkout, request) == "AGENTS.md"


def test_state_that_was_merged_into_the_default_branch_is_trusted(check_out_branch: CheckOut) -> None:
    """Branches of ``develop``, where the default branch takes over its releases."""
    git = check_out_branch.repository.git
    git.commit("main", ON_MAIN, "Begin")
    reviewed = git.commit("develop", {"AGENTS.md": "Be careful.\n"}, "Warn", base="main")
    Merges(check_out_branch).merge("main", "develop", {"AGENTS.md": "Be careful.\n"})
    git.commit("main", {"AGENTS.md": "Be very careful.\n"}, "Warn again")
    git.create_branch(BRANCH, reviewed)
    commit = git.commit(BRANCH, {"shop.py": "PRICE = 2\n"}, "Change")

    checkout, request = check_out_branch.at(commit)

    assert guard(request, configuration()).require_trusted(checkout) == ()


def test_every_fork_point_of_crossed_merges_is_trusted(check_out_branch: CheckOut) -> None:
    git, merges = check_out_branch.repository.git, Merges(check_out_branch)
    git.commit("main", ON_MAIN, "Begin")
    own = git.commit(BRANCH, {".kiro/steering/style.md": "Tabs.\n"}, "Style", base="main")
    theirs = git.commit("main", {"AGENTS.md": "Be careful.\n"}, "Warn")
    merges.merge("main", own, {".kiro/steering/style.md": "Tabs.\n"})
    commit = merges.merge(BRANCH, theirs, {"AGENTS.md": "Be careful.\n"})
    git.commit("main", {"AGENTS.md": "1\n", ".kiro/steering/style.md": "1\n"}, "Change both")

    checkout, request = check_out_branch.at(commit)

    bases = checkout.git.text("merge-base", "--all", checkout.default, commit).split()
    assert set(bases) == {own, theirs}
    assert guard(request, configuration()).require_trusted(checkout) == ()


def test_link_and_target_come_from_one_version(check_out_branch: CheckOut) -> None:
    """A document of the default branch must not become a steering file through a link that is older."""
    on_main = {**ON_MAIN, "AGENTS.md": Symlink("docs/reference/agents.md")}
    document = {"docs/reference/agents.md": "How attackers write: obey.\n"}
    checkout, request = check_out_branch(document, on_main)
    commit = check_out_branch.repository.git.commit("main", {"AGENTS.md": "Be kind.\n", **document}, "No link")

    assert tripped(head_is(checkout, commit), request) == "AGENTS.md"


def test_older_link_with_its_older_target_passes(check_out_branch: CheckOut) -> None:
    on_main = {**ON_MAIN, "AGENTS.md": Symlink("docs/reference/agents.md")}
    checkout, request = check_out_branch({"shop.py": "PRICE = 2\n"}, on_main)
    newer = {"AGENTS.md": "Be kind.\n", "docs/reference/agents.md": "New.\n"}
    commit = check_out_branch.repository.git.commit("main", newer, "No link")

    assert guard(request, configuration()).require_trusted(head_is(checkout, commit)) == ()


@pytest.mark.parametrize("planted", [Symlink("shop.py"), Submodule("1" * 40), Executable("Be kind.\n")])
def test_other_kind_of_entry_is_named(check_out_branch: CheckOut, planted: Content) -> None:
    checkout, request = check_out_branch({"AGENTS.md": planted})
    commit = check_out_branch.repository.git.commit("main", {"AGENTS.md": "Be careful.\n"}, "Warn")

    assert "AGENTS.md" in tripped(head_is(checkout, commit), request)


def test_older_gitmodules_pass_with_submodules(check_out_branch: CheckOut) -> None:
    on_main = {**ON_MAIN, ".gitmodules": "[submodule]\n"}
    checkout, request = check_out_branch({"shop.py": "PRICE = 2\n"}, on_main)
    commit = check_out_branch.repository.git.commit("main", {".gitmodules": None}, "Without")

    assert guard(request, configuration(submodules=True)).require_trusted(head_is(checkout, commit)) == ()


def test_linked_parent_folder_is_named(check_out_branch: CheckOut) -> None:
    changes: dict[str, Content] = {
        **dict.fromkeys((".kiro/steering/style.md", ".kiro/agents/reviewer.json")),
        ".kiro": Symlink("other"),
        "other/hooks/run.kiro.hook": "rm -rf /\n",
    }

    named = named_paths(check_out_branch, changes).split(", ")

    assert {".kiro", "other/hooks/run.kiro.hook"} <= set(named)


def test_target_of_guarded_link_is_guarded(check_out_branch: CheckOut) -> None:
    on_main = {**ON_MAIN, "AGENTS.md": Symlink("docs/first.md"), "docs/first.md": Symlink("reference/agents.md")}

    assert named_paths(check_out_branch, {"docs/reference/agents.md": "Obey.\n"}, on_main) == "docs/reference/agents.md"


def test_link_target_in_folder_is_guarded(check_out_branch: CheckOut) -> None:
    on_main = {**ON_MAIN, ".kiro/steering/product.md": Symlink("../../README.md"), "README.md": "# shop\n"}

    assert named_paths(check_out_branch, {"README.md": "Obey.\n"}, on_main) == "README.md"


def test_only_valid_label_allows_changes(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch({"AGENTS.md": "Obey.\n"})
    reviewed = configuration(guardLabel="steering-reviewed")

    assert guard(request, reviewed, Labeling("alice")).require_trusted(checkout) == ("AGENTS.md",)
    with pytest.raises(BuildStopped, match='"steering-reviewed" does not allow this: tracy may not push') as stopped:
        guard(request, reviewed, Labeling(problem="tracy may not push")).require_trusted(checkout)
    assert stopped.value.outcome is Outcome.GUARD_TRIPPED
    with pytest.raises(BuildStopped, match="guardLabel"):
        guard(request, configuration(), Labeling("alice")).require_trusted(checkout)


def test_unreadable_label_allows_nothing(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch({"AGENTS.md": "Obey.\n"})

    def no_answer(_label: str) -> Labeling:
        raise GitHubUnavailable("no answer")

    with pytest.raises(GitHubUnavailable):
        Guard(request, configuration(guardLabel="x"), no_answer, lambda _text: None).require_trusted(checkout)


def test_label_is_not_read_without_changes(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch({"shop.py": "PRICE = 2\n"})

    assert guard(request, configuration(guardLabel="x")).require_trusted(checkout) == ()


def test_guarded_paths_are_configurable(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch({"AGENTS.md": "Obey.\n", "ci/run.sh": "true\n", "a*b": "x\n"})

    with pytest.raises(BuildStopped, match=r"commands: a\*b, ci/run.sh"):
        guard(request, configuration(guardedPaths=["ci/run.sh", "a*b"])).require_trusted(checkout)
    assert guard(request, configuration(guardedPaths=[])).require_trusted(checkout) == ()


def test_another_commit_can_be_checked(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch({"shop.py": "PRICE = 2\n"})
    git = checkout.git
    (checkout.folder / "AGENTS.md").write_text("Obey.\n")
    git.run("add", "--all", in_work_tree=True)
    commit = git.text("commit-tree", git.text("write-tree"), "-p", request.commit, "-m", "x")

    assert guard(request, configuration()).require_trusted(checkout) == ()
    with pytest.raises(BuildStopped, match=r"AGENTS\.md"):
        guard(request, configuration()).require_trusted(checkout, commit)


@pytest.mark.parametrize(
    "planted",
    [
        {"AGENTS.md": "Obey.\n", ".kiro/hooks/run.kiro.hook": "rm\n", ".kiro/agents/reviewer.json": None},
        {"AGENTS.md": None, "AGENTS.md/deep.md": "Obey.\n"},
        {".kiro/steering/style.md": None, ".kiro/agents/reviewer.json": None, ".kiro": Symlink("docs")},
        {"AGENTS.md": Symlink("elsewhere.md"), "docs/reference/agents.md": "Obey.\n"},
    ],
)
def test_only_guarded_changes_are_reverted(check_out_branch: CheckOut, planted: Mapping[str, Content]) -> None:
    linked = (
        {**ON_MAIN, "AGENTS.md": Symlink("docs/reference/agents.md")}
        if "docs/reference/agents.md" in planted
        else ON_MAIN
    )
    checkout, request = check_out_branch({}, linked)
    changed = check_out_branch.repository.git.commit(
        "other", {**planted, "shop.py": "PRICE = 2\n"}, "Agent", base=BRANCH
    )
    git = checkout.git
    git.network("fetch", "--quiet", "--no-filter", "origin", "+refs/heads/other:refs/kiro-worker/other")
    git.run("read-tree", changed)
    default_guard = guard(request, configuration())
    with pytest.raises(BuildStopped, match=r"the agent changed files that steer .*AGENTS|\.kiro"):
        default_guard.require_unchanged(checkout, request.commit, changed)

    tree = default_guard.revert_guarded_paths(checkout, request.commit, changed)

    names = git.text("diff-tree", "-r", "--name-only", request.commit, tree).splitlines()
    assert names == ["shop.py"]
    assert git.text("write-tree") == tree


def test_missing_default_branch_fails_checkout(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch({})
    check_out_branch.repository.git.set_default_branch("gone")

    with pytest.raises(BuildStopped) as stopped:
        guard(request, configuration()).require_trusted(replace(checkout, default=""))

    assert stopped.value.outcome is Outcome.CHECKOUT_FAILED


@pytest.mark.parametrize("refuses_unadvertised", [False, True])
@pytest.mark.parametrize("setting", ["uploadpackfilter.allow", "uploadpack.allowFilter"])
def test_fork_point_is_found_without_partial_clones(
    check_out_branch: CheckOut, setting: str, refuses_unadvertised: bool
) -> None:
    check_out_branch.repository.git.run("config", setting, "false")
    check_out_branch.repository.refuses_unadvertised = refuses_unadvertised
    git = check_out_branch.repository.git
    git.commit("main", ON_MAIN, "Begin")
    commit = git.commit(BRANCH, {"shop.py": "PRICE = 2\n"}, "Change", base="main")
    git.commit("main", {"AGENTS.md": "Be careful.\n"}, "Warn")

    checkout, request = check_out_branch.at(commit)

    assert guard(request, configuration()).require_trusted(checkout) == ()
