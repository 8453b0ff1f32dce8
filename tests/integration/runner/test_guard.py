"""The guard names every changed file that can steer an agent, and only the configured label allows it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from kiro_local.github.git_repository import Content, Symlink
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
        commit = self.repository.git.commit(BRANCH, changes, "Change", base="main")
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


def test_outdated_steering_file_is_named(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch({"shop.py": "PRICE = 2\n"})
    check_out_branch.repository.git.commit("main", {"AGENTS.md": "Be careful.\n"}, "Warn")

    with pytest.raises(BuildStopped) as stopped:
        guard(request, configuration()).require_trusted(replace(checkout, default=""))

    assert stopped.value.reason == (
        f"{BRANCH} is behind main, where files that steer the agent or run commands have since changed: AGENTS.md"
    )
    assert stopped.value.remedy.startswith("git fetch origin && git merge origin/main && git push; or review")


def test_branch_that_changed_the_file_itself_is_not_only_behind(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch({"AGENTS.md": "Obey.\n"})
    check_out_branch.repository.git.commit("main", {"AGENTS.md": "Be careful.\n", "b/AGENTS.md": "New.\n"}, "Warn")

    with pytest.raises(BuildStopped) as stopped:
        guard(request, configuration()).require_trusted(replace(checkout, default=""))

    assert stopped.value.reason.endswith(
        "differs from the default branch in files that steer the agent or run commands: AGENTS.md, b/AGENTS.md"
    )
    assert stopped.value.remedy.startswith("merge the default branch, or undo")


def test_unrelated_history_is_not_behind(check_out_branch: CheckOut) -> None:
    checkout, request = check_out_branch({"shop.py": "PRICE = 2\n"})
    git = check_out_branch.repository.git
    git.commit("trunk", {**ON_MAIN, "AGENTS.md": "Be careful.\n"}, "Begin again")
    git.set_default_branch("trunk")

    with pytest.raises(BuildStopped, match="differs from the default branch"):
        guard(request, configuration()).require_trusted(replace(checkout, default=""))


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
