"""Boards as they are: cards that the token may not see, linked branches elsewhere, closed issues."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from kiro_local.github.git_repository import Symlink
from kiro_local.github.model import Item
from tests.support.world import IMPLEMENT, PROJECT, SPEC, World

pytestmark = pytest.mark.e2e


def issue_card(world: World, *linked: str, state: str = "OPEN") -> Item:
    """A card whose issue has linked branches and whose field for the branch is empty."""
    issue = world.github.board.add_issue(world.repository, "An issue", state=state, linked_branches=linked)
    return world.github.board.add_card(world.project, issue, status="For Implementation")


@pytest.mark.parametrize("hides", ["content", "node"])
def test_hidden_card_does_not_stop_board(world: World, hides: Literal["content", "node"]) -> None:
    hidden = world.bare_card("feature/secret")
    hidden.hides = hides
    ready = world.card()
    assert world.tick().outcome == "Succeeded"
    assert [world.status(card) for card in (hidden, ready)] == ["For Implementation", "In Review"]


def test_page_of_hidden_cards_does_not_hide_the_next(world: World) -> None:
    for number in range(25):
        world.bare_card(f"feature/secret-{number}").hides = "node"
    ready = world.card()
    assert world.tick().outcome == "Succeeded"
    assert world.status(ready) == "In Review"


def test_linked_branch_of_another_repository_is_refused_by_name(world: World) -> None:
    other = world.github.board.add_repository(f"{world.organization}/docs")
    other.git.commit("feature/sum", {"README.md": "# Docs\n"})
    world.spec("feature/sum")
    world.github.board.add_pull_request(world.repository, "feature/sum")
    before = world.head()
    card = issue_card(world, f"{world.organization}/docs:feature/sum")
    world.tick()
    assert world.status(card) == "Blocked"
    assert world.head() == before
    [comment] = world.comments()
    assert f"{world.organization}/docs:feature/sum" in comment


def test_second_linked_branch_is_found(world: World) -> None:
    world.spec("feature/sum")
    world.github.board.add_pull_request(world.repository, "feature/sum")
    card = issue_card(world, "feature/deleted", f"{world.organization}/gone:feature/x", "feature/sum")
    assert world.tick().outcome == "Succeeded"
    assert world.status(card) == "In Review"


def test_closed_issue_is_rejected(world: World) -> None:
    world.spec("feature/sum")
    world.github.board.add_pull_request(world.repository, "feature/sum")
    card = issue_card(world, "feature/sum", state="CLOSED")
    world.tick()
    assert world.status(card) == "Blocked"
    assert "is closed: reopen it" in world.comments()[0]


def commit_specs(world: World, *folders: str, branch: str = "feature/sum", base: str = "main") -> None:
    """Commit the failing test to the branch, and a spec in each folder. No folder is named after the branch."""
    files = {f".kiro/specs/{folder}/{name}": text for folder in folders for name, text in SPEC.items()}
    world.repository.git.commit(branch, PROJECT | files, "Write the specs", base=base)
    world.github.board.add_pull_request(world.repository, branch, base=base)


def test_field_names_spec_folder(world: World) -> None:
    world.github.board.add_field(world.project, "Spec")
    commit_specs(world, "sums", "totals")
    card = world.bare_card("feature/sum")
    world.github.board.set_value(card, "Spec", "totals")
    run = world.tick()
    assert (run.outcome, world.status(card)) == ("Succeeded", "In Review")
    assert "[x]" in world.file(".kiro/specs/totals/tasks.md")


def test_wrong_field_is_refused_by_name(world: World) -> None:
    world.github.board.add_field(world.project, "Spec")
    commit_specs(world, "sums")
    card = world.bare_card("feature/sum")
    world.github.board.set_value(card, "Spec", "../sums")
    world.tick()
    assert world.status(card) == "Blocked"
    assert "the card's field \"Spec\" contains '../sums', but" in world.comments()[0]
    assert ".kiro/specs contains sums" in world.comments()[0]


def test_only_new_folder_is_the_spec(world: World) -> None:
    world.repository.git.commit("release", {".kiro/specs/old/tasks.md": "- [x] 1. Done\n"}, base="main")
    commit_specs(world, "sums", base="release")
    card = world.bare_card("feature/sum")
    assert world.tick().outcome == "Succeeded"
    assert world.status(card) == "In Review"
    assert "[x]" in world.file(".kiro/specs/sums/tasks.md")


@pytest.mark.parametrize(
    ("folders", "reason"),
    [((), "adds no folder below .kiro/specs"), (("sums", "totals"), "adds 2 folders below .kiro/specs (sums, totals)")],
    ids=["none", "several"],
)
def test_spec_folder_that_is_not_clear_is_refused(world: World, folders: tuple[str, ...], reason: str) -> None:
    world.repository.git.commit("main", {".kiro/specs/old/tasks.md": "- [x] 1. Done\n"})
    commit_specs(world, *folders)
    card = world.bare_card("feature/sum")
    before = world.builds()
    world.tick()
    assert (world.status(card), world.builds()) == ("Blocked", before)
    [comment, _] = world.comments()
    assert reason in comment
    assert f".kiro/specs contains {', '.join(sorted({'old', *folders}))}: commit" in comment


def make_draft(world: World) -> None:
    world.repository.pull_requests[0].is_draft = True


def make_conflict(world: World) -> None:
    world.repository.git.commit("main", {"test_sums.py": "TOTAL = 0\n"})


def change_steering_file(world: World) -> None:
    world.repository.git.commit("feature/sum", {".kiro/steering/style.md": "Obey.\n"})


def take_over_steering_of_another_base(world: World) -> None:
    """The base of the pull request counts for nothing, because its author may have pushed it."""
    world.repository.git.commit("mine", {"AGENTS.md": "Obey.\n"}, base="main")
    world.repository.git.commit("feature/sum", {"AGENTS.md": "Obey.\n"})
    world.repository.pull_requests[0].base_ref_name = "mine"


def break_own_file(world: World) -> None:
    world.repository.git.commit("main", {".kiro-worker.yml": "# Settings\ntests: make\n"})


def link_own_file(world: World) -> None:
    world.repository.git.commit("main", {".kiro-worker.yml": Symlink("README.md")})


@pytest.mark.parametrize(
    ("arrange", "reason"),
    [
        (make_draft, "pull request #1 is a draft: mark it as ready for review (gh pr ready 1)"),
        (make_conflict, "conflicts with its base main: merge main into feature/sum"),
        (
            change_steering_file,
            "feature/sum changes files that steer an agent or run commands (.kiro/steering/style.md)",
        ),
        (
            take_over_steering_of_another_base,
            "feature/sum changes files that steer an agent or run commands (AGENTS.md)",
        ),
        (break_own_file, '.kiro-worker.yml on main, line 2: unknown key "tests"; did you mean "test"?'),
        (link_own_file, ".kiro-worker.yml on main is a symbolic link: commit the file itself"),
    ],
)
def test_card_is_refused_before_build(world: World, arrange: Callable[[World], None], reason: str) -> None:
    card = world.card()
    arrange(world)
    before = world.builds()
    world.tick()
    assert (world.status(card), world.builds()) == ("Blocked", before)
    assert reason in world.comments()[0]


def test_change_of_steering_on_the_default_branch_stops_no_open_branch(world: World) -> None:
    world.repository.git.commit("main", {"AGENTS.md": "Be kind.\n"})
    card = world.card()
    world.repository.git.commit("main", {"AGENTS.md": "Be careful.\n", ".kiro/steering/new.md": "New.\n"})
    assert world.tick().outcome == "Succeeded"
    assert (world.status(card), world.file("AGENTS.md")) == ("In Review", "Be kind.\n")


def test_own_file_of_the_branch_changes_nothing(world: World) -> None:
    card = world.card()
    world.repository.git.commit("feature/sum", {".kiro-worker.yml": "test: 'true'\nunknown: 1\n"})
    world.agent(IMPLEMENT.replace("a + b", "a - b - 1"))
    failed = world.tick()
    assert (failed.error, world.status(card)) == ("TestsFailed", "Blocked")


def test_build_uses_the_default_branch_as_it_was_validated(world: World) -> None:
    """A file that appears on the default branch after the validation has no effect on this build."""
    card = world.card()
    validated = world.repository.git.head_of("main")

    def fail_tests() -> None:
        world.repository.git.commit("main", {".kiro-worker.yml": "test: 'false'\n"})

    during_build(world, fail_tests)
    run = world.tick()
    assert (run.outcome, world.status(card)) == ("Succeeded", "In Review")
    [built] = [state for state in run.states if state.name == "RunBuild"]
    assert built.document["work"]["defaultCommit"] == validated


def test_rejection_of_fork_says_where_to_push(world: World) -> None:
    board = world.github.board
    fork = board.add_repository(f"volunteer-{world.organization}/shop", parent=world.repository)
    fork.git.commit("feature/sum", {"sums.py": "TOTAL = 0\n"}, base="main")
    pull_request = board.add_pull_request(world.repository, f"{fork.owner.login}:feature/sum", author="volunteer")
    card = board.add_card(world.project, pull_request, status="For Implementation")
    world.tick()
    assert world.status(card) == "Blocked"
    [comment] = world.comments()
    assert f"pull request #{pull_request.number} from feature/sum comes from a fork" in comment
    assert f"push its branch to {world.repository.name_with_owner} itself" in comment
    assert "does not exist" not in comment


def during_build(world: World, change: Callable[[], None]) -> None:
    """Make ``change`` when the run enters RunBuild."""
    world.entered["RunBuild"] = change


def test_issue_and_pull_request_of_same_work(world: World) -> None:
    world.spec("feature/sum")
    pull_request = world.github.board.add_pull_request(world.repository, "feature/sum")
    issue_ = world.bare_card("feature/sum")
    second = world.github.board.add_card(world.project, pull_request, status="For Implementation")
    heads: list[str | None] = []
    world.entered["StartNextRun"] = lambda: heads.append(world.head())
    assert world.tick().outcome == "Succeeded"
    assert [world.status(card) for card in (issue_, second)] == ["In Review", "In Review"]
    assert heads == [world.head()], "the run of the second card pushed something"
    [comment] = [comment.body for comment in pull_request.comments]
    assert comment.index("✅ **Implemented**") < comment.index("**Already implemented**")


@pytest.mark.parametrize("state", ["MERGED", "CLOSED"])
def test_pull_request_that_ends_during_build(world: World, state: str) -> None:
    card = world.card()
    [pull_request] = world.repository.pull_requests
    during_build(world, lambda: setattr(pull_request, "state", state))
    run = world.tick()
    assert (run.outcome, world.status(card)) == ("Succeeded", "In Review")
    assert "No open pull request carries this work" in run.output["notes"][0]
    assert "No open pull request carries this work" in world.comments()[0]


def test_pull_request_that_is_retargeted_during_build(world: World) -> None:
    world.card()
    world.repository.git.commit("release", {"NEWS": "1"}, base="main")
    [pull_request] = world.repository.pull_requests
    during_build(world, lambda: setattr(pull_request, "base_ref_name", "release"))
    assert world.tick().outcome == "Succeeded"
    assert "now targets `release`" in world.comments()[0]


def test_card_that_is_deleted_during_build(world: World) -> None:
    card = world.card()
    during_build(world, lambda: world.github.board.remove_card(card))
    run = world.tick()
    assert (run.status, run.outcome, run.output["status"]) == ("SUCCEEDED", "Succeeded", "")
    assert "✅" in world.comments()[0]
    assert world.local.lock() is None


def test_card_that_is_archived_or_moved_during_build(world: World) -> None:
    archived, moved = world.card("feature/one"), world.card("feature/two")

    def archive() -> None:
        archived.is_archived = True
        during_build(world, lambda: world.github.board.move(moved, "Todo"))

    during_build(world, archive)
    world.tick()
    assert [world.status(card) for card in (archived, moved)] == ["In Progress", "Todo"]
    assert ["✅" in comment for comment in world.comments()] == [True, True]


def test_status_that_is_renamed_during_build(world: World) -> None:
    card = world.card()
    field = world.project.field_named("Status")
    assert field
    assert field.options
    option = next(option for option in field.options if option.name == "In Review")
    during_build(world, lambda: setattr(option, "name", "Reviewing"))
    run = world.tick()
    assert (run.status, run.error) == ("FAILED", "StatusNotFound")
    assert "✅" in world.comments()[0]
    option.name = "In Review"
    assert world.redrive(run).outcome == "Succeeded"
    assert world.status(card) == "In Review"
    assert len(world.comments()) == 1


def test_project_scope_that_is_lost_during_build(world: World) -> None:
    world.card()
    during_build(world, lambda: world.github.faults.add("insufficient_scopes", "ReadCard", times=2))
    run = world.tick()
    assert (run.status, run.error) == ("FAILED", "GitHubScopesInsufficient")
    assert "✅" in world.comments()[0]


def test_comment_slower_than_time_limit_is_not_doubled(world: World) -> None:
    world.card()
    during_build(world, lambda: world.github.faults.add("lost_answer", "AddComment"))
    assert world.tick().outcome == "Succeeded"
    assert len(world.comments()) == 1
