"""Board, readiness, comments and recovery over HTTP, against the GitHub stand-in and its detailed answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kiro_local.github.faults import FaultKind
from kiro_local.github.git_repository import Submodule, Symlink
from kiro_local.github.model import Item, Repository
from kiro_local.github.push_rules import PushRule
from kiro_local.github.stand_in import StandInGitHub
from kiro_worker.config.model import Configuration
from kiro_worker.errors import GitHubRateLimited, GitHubRefused, GitHubUnavailable, WorkItemInvalid, WorkItemNotFound
from kiro_worker.github.board import read_card, set_status
from kiro_worker.github.client import GitHubSession, github_session
from kiro_worker.github.comments import put_comment
from kiro_worker.github.next_card import Queue, fetch_next_card
from kiro_worker.github.pushed import pushed_commit
from kiro_worker.github.readiness import validate_branch
from kiro_worker.lock.item import Holder, Subject
from kiro_worker.models import Failure
from kiro_worker.records.runs import RunRecord
from kiro_worker.records.table import RecordsTable
from kiro_worker.recovery import report_abandoned_run
from tests.integration.github.conftest import TOKEN
from tests.support.memory_dynamodb import MemoryDynamoDB

RUN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-{}:{}"
SPEC = dict.fromkeys(("requirements.md", "design.md"), "text") | {"tasks.md": "- [ ] 1. Do it"}


def configuration(**changes: Any) -> Configuration:
    minimal = {"organization": "acme", "repository": "shop", "projectNumber": 1, "targetStatusColumn": "Ready"}
    return Configuration.model_validate(minimal | changes)


@pytest.fixture
def repository(github: StandInGitHub) -> Repository:
    shop = github.board.add_repository("acme/shop")
    shop.git.commit("main", {"README.md": "# Shop"})
    shop.git.commit("feature/x", {f".kiro/specs/feature-x/{name}": text for name, text in SPEC.items()}, base="main")
    return shop


@pytest.fixture
def ask(github: StandInGitHub) -> Callable[[Callable[[GitHubSession], Awaitable[Any]]], Any]:
    def run(question: Callable[[GitHubSession], Awaitable[Any]]) -> Any:
        async def with_session() -> Any:
            async with github_session(github.graphql_url, TOKEN) as session:
                return await question(session)

        return asyncio.run(with_session())

    return run


STATUSES = ("Ready", "In Progress", "In Review", "Blocked")


def card(github: StandInGitHub, owner: str = "acme", statuses: tuple[str, ...] = STATUSES) -> Item:
    project = github.board.add_project(owner, number=1, statuses=statuses)
    return github.board.add_card(project, "A card", status=statuses[0])


@pytest.mark.parametrize("first", ["fork", "own"])
def test_own_pull_request_wins_over_fork(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any], first: str
) -> None:
    github.board.add_repository("member/shop", parent=repository)
    heads = {"fork": "member:feature/x", "own": "feature/x"}
    order = [first, *(kind for kind in heads if kind != first)]
    opened = {kind: github.board.add_pull_request(repository, heads[kind], association="MEMBER") for kind in order}
    work = ask(lambda session: validate_branch(session, configuration(), "acme/shop", "feature/x"))
    assert (work.pull_request, work.pull_request_id) == (opened["own"].number, opened["own"].id)
    assert work.commit == repository.git.head_of("feature/x")


@pytest.mark.parametrize(("permission", "is_built"), [("WRITE", True), ("ADMIN", True), ("TRIAGE", False), ("", False)])
@pytest.mark.parametrize("association", ["CONTRIBUTOR", "NONE"])
def test_private_member_counts_by_permission(
    github: StandInGitHub,
    repository: Repository,
    ask: Callable[..., Any],
    association: str,
    permission: str,
    is_built: bool,
) -> None:
    github.board.add_pull_request(repository, "feature/x", author="ann", association=association)
    if permission:
        github.board.set_permission(repository, "ann", permission)

    def question(session: GitHubSession) -> Awaitable[Any]:
        return validate_branch(session, configuration(), "acme/shop", "feature/x")

    if is_built:
        assert ask(question).open_tasks == 1
    else:
        with pytest.raises(WorkItemInvalid, match=f"{association}, but only .* no permission of ann to push"):
            ask(question)


def test_permission_that_token_may_not_read_is_none(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any]
) -> None:
    github.board.add_pull_request(repository, "feature/x", author="ann", association="CONTRIBUTOR")
    github.board.set_permission(repository, "ann", "WRITE")
    github.faults.add("forbidden", "ReadPermission")
    with pytest.raises(WorkItemInvalid, match="no permission of ann to push"):
        ask(lambda session: validate_branch(session, configuration(), "acme/shop", "feature/x"))


@pytest.mark.parametrize(
    ("rule", "bypass_actors", "reason"),
    [
        (PushRule.RESTRICTED, None, "does not let the account of the GitHub token push to feature/x"),
        (PushRule.SIGNATURES, None, "the branch protection rule 'feature/x' of acme/shop requires signed commits"),
        (PushRule.RULESET_SIGNATURES, None, "requires signed commits"),
        (PushRule.RULESET_LOCKED, 0, "makes the branch read-only"),
        (PushRule.RULESET_PULL_REQUEST, 0, "allows changes through a pull request only"),
        (PushRule.RULESET_PULL_REQUEST, None, ""),
        (PushRule.RULESET_SIGNATURES, 1, ""),
    ],
)
def test_branch_that_cannot_be_pushed_is_refused(
    github: StandInGitHub,
    repository: Repository,
    ask: Callable[..., Any],
    rule: PushRule,
    bypass_actors: int | None,
    reason: str,
) -> None:
    github.board.add_pull_request(repository, "feature/x")
    repository.protect("feature/x", rule, bypass_actors)
    repository.protect("main", PushRule.RESTRICTED)

    def question(session: GitHubSession) -> Awaitable[Any]:
        return validate_branch(session, configuration(), "acme/shop", "feature/x")

    if reason:
        with pytest.raises(WorkItemInvalid, match=reason):
            ask(question)
    else:
        assert ask(question).open_tasks == 1
    assert github.requests.graphql("ValidateWorkItem")[-1].cost == 1
    # What the token may not read is unknown, and stops no card.
    repository.rules_are_hidden = True
    assert ask(question).open_tasks == 1


@pytest.mark.parametrize(
    ("attribute", "value"), [("is_archived", True), ("lock_reason", "BILLING"), ("is_disabled", True)]
)
def test_repository_that_cannot_be_pushed_is_refused(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any], attribute: str, value: Any
) -> None:
    github.board.add_pull_request(repository, "feature/x")
    setattr(repository, attribute, value)

    with pytest.raises(WorkItemInvalid, match="the repository acme/shop is"):
        ask(lambda session: validate_branch(session, configuration(), "acme/shop", "feature/x"))


def test_tag_does_not_shadow_branch(github: StandInGitHub, repository: Repository, ask: Callable[..., Any]) -> None:
    github.board.add_pull_request(repository, "feature/x")
    repository.git.run("update-ref", "refs/tags/feature/x", repository.git.head_of("main") or "")
    work = ask(lambda session: validate_branch(session, configuration(), "acme/shop", "feature/x"))
    assert work.commit == repository.git.head_of("feature/x")


def test_card_of_other_board_is_not_found(github: StandInGitHub, ask: Callable[..., Any]) -> None:
    other = card(github, "rival")
    with pytest.raises(WorkItemNotFound, match="rival/1"):
        ask(lambda session: read_card(session, configuration(), other.id))


def test_status_with_quotation_mark_is_found(github: StandInGitHub, ask: Callable[..., Any]) -> None:
    waiting = card(github, statuses=('"Go"', *STATUSES))
    found = ask(lambda session: fetch_next_card(session, configuration(targetStatusColumn='"Go"'), Queue()))
    assert found.item.id == waiting.id


def test_status_is_case_sensitive(github: StandInGitHub, ask: Callable[..., Any]) -> None:
    """The server's filter ignores case, and the board has both spellings."""
    card(github, statuses=("READY", *STATUSES))
    assert ask(lambda session: fetch_next_card(session, configuration(), Queue())).item is None


def test_deleted_card_cannot_be_moved(github: StandInGitHub, ask: Callable[..., Any]) -> None:
    item = card(github)

    async def move(session: GitHubSession) -> None:
        read = await read_card(session, configuration(), item.id)
        github.board.remove_card(item)
        await set_status(session, read, "Blocked")

    with pytest.raises(GitHubRefused, match="NOT_FOUND"):
        ask(move)


def test_only_own_deployment_updates_comment(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any]
) -> None:
    issue = github.board.add_issue(repository, "An issue")
    forged = github.board.add_comment(issue, "mallory", f"<!-- kiro-worker {RUN.format('test', 'x')} -->\nhello")

    def comment_as(text: str, environment: str, run: str) -> None:
        ask(lambda session: put_comment(session, issue.id, text, RUN.format(environment, run)))

    comment_as("one", "test", "a")
    comment_as("two", "test", "b")
    comment_as("other", "production", "c")
    assert forged.body.endswith("hello")
    assert [comment.body.partition("\n")[2] for comment in issue.comments[1:]] == ["two", "other"]


def test_old_comment_among_many_is_updated(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any]
) -> None:
    issue = github.board.add_issue(repository, "An issue")
    ask(lambda session: put_comment(session, issue.id, "one", RUN.format("test", "a")))
    for number in range(120):
        github.board.add_comment(issue, "octocat", f"chatter {number}")
    ask(lambda session: put_comment(session, issue.id, "two", RUN.format("test", "b")))
    assert len(issue.comments) == 121
    assert issue.comments[0].body.endswith("two")


def test_only_queries_are_retried(github: StandInGitHub, ask: Callable[..., Any]) -> None:
    item = card(github)
    github.faults.add(FaultKind.BAD_GATEWAY, times=None)

    async def both(session: GitHubSession) -> None:
        with pytest.raises(GitHubUnavailable):
            await read_card(session, configuration(), item.id)
        github.faults.clear()
        read = await read_card(session, configuration(), item.id)
        github.faults.add(FaultKind.BAD_GATEWAY, times=None)
        with pytest.raises(GitHubUnavailable):
            await set_status(session, read, "Blocked")

    ask(both)
    assert len(github.requests.graphql("ReadCard")) == 4
    assert len(github.requests.graphql("SetStatus")) == 1


def test_limit_without_header_waits_a_minute(github: StandInGitHub, ask: Callable[..., Any]) -> None:
    item = card(github)
    github.faults.add(FaultKind.SECONDARY_LIMIT, times=None, seconds=0)
    with pytest.raises(GitHubRateLimited) as caught:
        ask(lambda session: read_card(session, configuration(), item.id))
    assert caught.value.retry_after == 60


def abandoned(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any], error: str = "LockLost", **changes: Any
) -> Item:
    """A card that an ended execution left in progress, after the next run has reported it."""
    issue = github.board.add_issue(repository, "Do it")
    project = github.board.add_project("acme", number=1, statuses=STATUSES)
    left = github.board.add_card(project, issue, status="In Progress", branch="feature/x")
    holder = Holder("work-item-processor-lock", subject=Subject(left.id, "acme/shop", "feature/x"))
    failure = Failure("", error, "")
    settings = configuration(targetStatusColumn="Ready", **changes)
    execution = RUN.format("test", "one")
    ask(lambda session: report_abandoned_run(session, settings, records(), holder, execution, failure))
    return left


def records() -> RecordsTable:
    return RecordsTable(MemoryDynamoDB(), "records")  # type: ignore[arg-type]  # answers the same requests


@pytest.mark.parametrize("error", ["LockLost", "ABORTED"])
def test_every_abandoned_run_is_reported(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any], error: str
) -> None:
    assert abandoned(github, repository, ask, error).value("Status") == "Blocked"
    assert [error in comment.body for comment in repository.issues[0].comments] == [True]


def test_forbidden_comment_does_not_end_run(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any]
) -> None:
    github.faults.add(FaultKind.FORBIDDEN, "AddComment", times=None)
    assert abandoned(github, repository, ask).value("Status") == "Blocked"


def test_pushed_commit_is_head_or_ancestor(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any]
) -> None:
    """A commit that exists in the repository but not on the branch was not pushed to it."""
    github.board.add_pull_request(repository, "feature/x")
    first = ask(lambda session: validate_branch(session, configuration(), "acme/shop", "feature/x"))
    pushed = repository.git.commit("feature/x", {"a.py": "a"}, "Implement 1 Do it")
    aside = repository.git.commit("aside", {"b.py": "b"}, "Implement 1 Do it", base="feature/x")

    def found(*commits: str, branch: str = "feature/x", work: Any = first, started_from: str = "") -> str:
        run = RunRecord("one", "acme/shop", branch, "", frozenset(commits), started_from)
        return str(ask(lambda session: pushed_commit(session, run, work)))

    assert found(pushed) == pushed
    assert found(pushed, work=None) == pushed
    repository.git.commit("feature/x", {"c.py": "c"}, "A person continues")
    assert found(pushed, aside) == pushed
    assert found(aside) == found("f" * 40) == found(pushed, branch="deleted") == ""
    again = ask(lambda session: validate_branch(session, configuration(), "acme/shop", "feature/x"))
    assert found(pushed, work=again) == "", "an earlier attempt pushed it"
    assert found(pushed, work=None, started_from=again.commit) == ""
    assert found(pushed, work=None, started_from=first.commit) == pushed
    ask_elsewhere = RunRecord("one", "acme/unknown", "feature/x", "", frozenset({pushed}))
    assert ask(lambda session: pushed_commit(session, ask_elsewhere)) == ""


def guarded_branch(repository: Repository, **files: str | None) -> None:
    """Change files of the branch, whose names have a double underscore for a slash and a single one for a dot."""
    named = {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}
    repository.git.commit("feature/x", named, "Change")


def refused(ask: Callable[..., Any], **changes: Any) -> str:
    with pytest.raises(WorkItemInvalid) as invalid:
        ask(lambda session: validate_branch(session, configuration(**changes), "acme/shop", "feature/x"))
    return invalid.value.reason


def accepted(ask: Callable[..., Any], **changes: Any) -> Any:
    return ask(lambda session: validate_branch(session, configuration(**changes), "acme/shop", "feature/x"))


def test_guarded_files_are_compared_with_the_default_branch(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any]
) -> None:
    github.board.add_pull_request(repository, "feature/x")
    assert accepted(ask).default_commit == repository.git.head_of("main")
    guarded_branch(repository, AGENTS_md="Obey.\n", deep__AGENTS_md="Obey.\n", README_md="# Shop 2\n")
    assert "commands (AGENTS.md, deep/AGENTS.md): undo these changes" in refused(ask)
    # A file that the branch took over from the default branch is no change.
    repository.git.commit("main", {"AGENTS.md": "Obey.\n"}, "Guide")
    assert "commands (deep/AGENTS.md): undo" in refused(ask)
    repository.git.commit("main", {"deep/AGENTS.md": "Obey.\n"}, "Guide")
    assert accepted(ask).commit == repository.git.head_of("feature/x")


def test_renamed_and_removed_guarded_files_are_named(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any]
) -> None:
    guide = "".join(f"Rule {number}\n" for number in range(20))
    repository.git.commit("main", {"a/AGENTS.md": guide, "b/AGENTS.md": "x\n"}, "Guide")
    repository.git.create_branch("feature/x", "main")
    files = {f".kiro/specs/feature-x/{name}": text for name, text in SPEC.items()}
    repository.git.commit("feature/x", {**files, "a/AGENTS.md": None, "notes.md": guide, "b/AGENTS.md": None})
    github.board.add_pull_request(repository, "feature/x")
    assert "(b/AGENTS.md, a/AGENTS.md)" in refused(ask)


@pytest.mark.parametrize("permission", ["WRITE", "READ"])
def test_label_allows_guarded_files_before_a_build(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any], permission: str
) -> None:
    pull_request = github.board.add_pull_request(repository, "feature/x")
    guarded_branch(repository, AGENTS_md="Obey.\n")
    assert 'the label "reviewed" does not allow this' in refused(ask, guardLabel="reviewed")
    github.board.set_permission(repository, "alice", permission)
    github.board.add_label(pull_request, "reviewed", by="alice")
    if permission == "WRITE":
        assert accepted(ask, guardLabel="reviewed").pull_request == pull_request.number
    else:
        assert "alice, who added it last, may not push" in refused(ask, guardLabel="reviewed")


@pytest.mark.parametrize(
    "kind", [kind for kind in FaultKind if kind not in (FaultKind.SLOW, FaultKind.SERVER_ERROR, FaultKind.HANG_UP)]
)
def test_unanswered_comparison_leaves_the_decision_to_the_build(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any], kind: FaultKind
) -> None:
    github.board.add_pull_request(repository, "feature/x")
    guarded_branch(repository, AGENTS_md="Obey.\n")
    # The HTTP client repeats a request once whose connection was reset.
    github.faults.add(kind, "compare", times=None)
    if kind is FaultKind.NOT_FOUND:
        assert "AGENTS.md" in refused(ask)
    else:
        assert accepted(ask).commit == repository.git.head_of("feature/x")


def test_files_beyond_the_limit_are_left_to_the_build(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any]
) -> None:
    github.board.add_pull_request(repository, "feature/x")
    repository.git.commit("feature/x", {"AGENTS.md": "Obey.\n"} | {f".kiro/a/{n:03}": "x" for n in range(300)})
    assert accepted(ask).commit == repository.git.head_of("feature/x")


def test_own_file_is_read_from_the_default_branch(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any]
) -> None:
    github.board.add_pull_request(repository, "feature/x")
    repository.git.commit("feature/x", {".kiro-worker.yml": "wrong: 1\n"})
    assert accepted(ask).pull_request == 1
    repository.git.commit("feature/x", {".kiro-worker.yml": None})
    repository.git.commit("main", {".kiro-worker.yml": "wrong: 1\n"})
    assert ".kiro-worker.yml on main, line 1" in refused(ask)
    repository.git.commit("main", {".kiro-worker.yml": "directory: services\n"})
    assert accepted(ask).default_commit == repository.git.head_of("main")


@pytest.mark.parametrize("content", [Symlink("README.md"), Submodule("1" * 40), b"a\0b"])
def test_own_file_of_another_kind_is_refused(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any], content: Any
) -> None:
    github.board.add_pull_request(repository, "feature/x")
    repository.git.commit("main", {".kiro-worker.yml": content})
    assert refused(ask).startswith(".kiro-worker.yml on main is ")


def test_own_file_that_is_a_folder_is_refused(
    github: StandInGitHub, repository: Repository, ask: Callable[..., Any]
) -> None:
    github.board.add_pull_request(repository, "feature/x")
    repository.git.commit("main", {".kiro-worker.yml/x": "1"})
    assert refused(ask).startswith(".kiro-worker.yml on main is not a file")
