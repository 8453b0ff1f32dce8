"""The four moves of a card, from every status and for every kind of content."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from kiro_worker.config.model import Configuration
from kiro_worker.errors import (
    GitHubForbidden,
    GitHubScopesInsufficient,
    GitHubUnavailable,
    StatusNotFound,
    WorkItemMoved,
)
from kiro_worker.exported_variables import EXPORTED_VARIABLES
from kiro_worker.github import cards, failed_cards
from kiro_worker.github.board import managed_statuses
from kiro_worker.github.cards import mark_in_progress, wait_in_queue
from kiro_worker.github.client import GitHubSession
from kiro_worker.github.rejection import reject
from kiro_worker.models import BuildResult, Failure, Lease, Work, WorkItem
from kiro_worker.outcomes import FaultOwner
from kiro_worker.records.breaker import open_breaker, read_breaker
from kiro_worker.records.cards import claim_repeat
from kiro_worker.records.runs import RunRecord, note_push, note_summary
from kiro_worker.records.summaries import DoneTask, RunSummary, Turn
from kiro_worker.records.table import RecordsTable
from kiro_worker.state import CardReport, HeldLock, StateDocument, StepEvent
from tests.support.fake_github import (
    Answer,
    Board,
    FakeCard,
    FakeComment,
    FakeGitHub,
    configuration,
    draft,
    issue,
    pull_request_content,
    ready_repository,
    reviewed_pull_request,
)
from tests.support.memory_dynamodb import MemoryDynamoDB

ARN = "arn:aws:states:us-east-1:123456789012:execution:kiro-worker-test:one"
Move = Callable[[GitHubSession, Configuration, StepEvent], Awaitable[CardReport]]
FAILURE = Failure("ValidateWorkItem", "WorkItemInvalid", json.dumps({"errorMessage": "tasks.md is missing"}))
WORK = Work(
    repository="acme/shop",
    branch="feature/x",
    commit="a" * 40,
    spec_path=".kiro/specs/feature-x",
    pull_request=7,
    pull_request_id="PR_1",
    pull_request_url="https://github.example/acme/shop/pull/7",
    base_branch="main",
    open_tasks=1,
    default_commit="d" * 40,
)
BUILD = BuildResult(commit="b" * 40, outcome="Succeeded")
MANAGED = ("Ready", "In Progress", "Blocked", "Failed")
ELSEWHERE = ("In Review", "Elsewhere", None)
DENIED = {"type": "FORBIDDEN", "message": "Repository was archived so is read-only."}


def github(status: str | None = "Ready", *, archived: bool = False, content: Answer | None = None) -> FakeGitHub:
    """A board with one card, whose issue and pull request can be commented on."""
    card = FakeCard("CARD", status, archived=archived, content=content or issue())
    return FakeGitHub(Board([card], repository=ready_repository(), comments={"I_1": [], "PR_1": []}))


def event(*, redrive_count: int = 0, selected: str = "Ready", **parts: Any) -> StepEvent:
    item = WorkItem("CARD", status=selected, repository="acme/shop", branch="feature/x")
    document = StateDocument(**{"item": item, "failure": FAILURE, "work": WORK, "build": BUILD, **parts})
    return StepEvent(ARN, redrive_count, {}, "", document)


def run(move: Move, fake: FakeGitHub, step_event: StepEvent | None = None, **changes: Any) -> CardReport:
    async def act() -> CardReport:
        async with fake.open_session() as session:
            return await move(session, configuration(**changes), step_event or event())

    return asyncio.run(act())


async def mark_failed(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
    return await failed_cards.mark_failed(session, configuration, event, records())


async def mark_in_review(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
    return await cards.mark_in_review(session, configuration, event, records())


def records(*pushed: str) -> RecordsTable:
    """The records, with what the run has done and was about to push."""
    table = RecordsTable(MemoryDynamoDB(), "records")  # type: ignore[arg-type]  # answers the same requests
    note_summary(table, ARN, RunSummary((DoneTask("1 Parse", "d" * 40),), (Turn("1 Parse", "All is parsed."),)))
    for commit in pushed:
        note_push(table, RunRecord(ARN, "acme/shop", "feature/x", "CARD"), commit)
    return table


def mark_failed_after_push(fake: FakeGitHub, **parts: Any) -> CardReport:
    async def move(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
        return await failed_cards.mark_failed(session, configuration, event, records("b" * 40))

    return run(move, fake, event(**parts))


def comments(fake: FakeGitHub) -> dict[str, list[str]]:
    return {subject: [comment.body for comment in written] for subject, written in fake.board.comments.items()}


@pytest.mark.parametrize(
    ("move", "target"), [(reject, "Blocked"), (mark_in_review, "In Review"), (mark_failed, "Failed")]
)
@pytest.mark.parametrize("status", MANAGED)
def test_managed_card_is_moved(move: Move, target: str, status: str) -> None:
    fake = github(status)
    assert run(move, fake).status == target
    assert fake.board.card("CARD").status == target
    assert len(fake.sent("SetStatus")) == (status != target), "a card that already has the status is not moved"


@pytest.mark.parametrize("move", [reject, mark_failed])
@pytest.mark.parametrize("status", ELSEWHERE)
def test_card_elsewhere_is_left_alone(move: Move, status: str | None) -> None:
    fake = github(status)
    assert run(move, fake) == CardReport(status or "", comment_url="")
    assert fake.sent() == ["ReadCard"]


@pytest.mark.parametrize("move", [reject, mark_failed])
def test_archived_card_is_left_alone(move: Move) -> None:
    fake = github("Ready", archived=True)
    assert run(move, fake) == CardReport("Ready", comment_url="")
    assert fake.sent() == ["ReadCard"]


@pytest.mark.parametrize(("status", "archived"), [*((status, False) for status in ELSEWHERE), ("Ready", True)])
def test_review_comments_on_card_elsewhere(status: str | None, archived: bool) -> None:
    fake = github(status, archived=archived)
    assert run(mark_in_review, fake).status == (status or "")
    assert fake.sent("SetStatus") == []
    assert [len(written) for written in comments(fake).values()] == [0, 1]


@pytest.mark.parametrize(
    ("move", "setting"), [(reject, "blockedStatus"), (mark_failed, "failedStatus")], ids=["blocked", "failed"]
)
def test_null_status_leaves_card(move: Move, setting: str) -> None:
    fake = github("In Progress")
    report = run(move, fake, **{setting: None})
    assert (report.status, fake.board.card("CARD").status) == ("In Progress", "In Progress")
    assert report.comment_url


def test_every_working_status_is_managed() -> None:
    assert managed_statuses(configuration()) == ("Ready", "In Progress", "Failed", "Blocked")
    assert managed_statuses(configuration(failedStatus=None, blockedStatus="Ready")) == ("Ready", "In Progress")


@pytest.mark.parametrize("status", ["Ready", "In Progress"])
def test_selected_card_goes_in_progress(status: str) -> None:
    fake = github(status)
    assert run(mark_in_progress, fake) == CardReport("In Progress")
    assert fake.board.card("CARD").status == "In Progress"
    assert len(fake.sent("SetStatus")) == (status == "Ready")


@pytest.mark.parametrize("status", ["Blocked", "Failed", "In Review", "Elsewhere", None])
def test_moved_card_is_not_started(status: str | None) -> None:
    fake = github(status)
    with pytest.raises(WorkItemMoved, match=f"was in 'Ready' when it was selected, and is now in '{status or ''}'"):
        run(mark_in_progress, fake)
    assert fake.sent("SetStatus") == []


def test_archived_card_is_not_started() -> None:
    fake = github("Ready", archived=True)
    with pytest.raises(WorkItemMoved, match="is now archived"):
        run(mark_in_progress, fake)


@pytest.mark.parametrize(("status", "moved"), [("Failed", True), ("Blocked", False), ("Elsewhere", False)])
def test_redrive_starts_from_failed_status(status: str, moved: bool) -> None:
    fake = github(status)
    if moved:
        assert run(mark_in_progress, fake, event(redrive_count=1)).status == "In Progress"
    else:
        with pytest.raises(WorkItemMoved):
            run(mark_in_progress, fake, event(redrive_count=1))


@pytest.mark.parametrize("status", MANAGED)
def test_card_behind_a_lock_waits_in_queue(status: str) -> None:
    fake = github(status)
    assert run(wait_in_queue, fake, event(selected=status)) == CardReport("Ready")
    assert fake.board.card("CARD").status == "Ready"
    assert len(fake.sent("SetStatus")) == (status != "Ready")
    assert fake.sent("AddComment") == []


@pytest.mark.parametrize("status", ELSEWHERE)
def test_card_that_a_person_moved_does_not_return_to_queue(status: str | None) -> None:
    fake = github(status)
    assert run(wait_in_queue, fake) == CardReport(status or "")
    assert fake.sent("SetStatus") == []


@pytest.mark.parametrize("selected", ["Ready", "Failed", "Blocked"])
def test_card_that_another_run_has_taken_does_not_return_to_queue(selected: str) -> None:
    """The answer to the move may be lost, and the queue may take the card before the move is repeated."""
    fake = github("In Progress")
    assert run(wait_in_queue, fake, event(selected=selected)) == CardReport("In Progress")
    assert fake.sent("SetStatus") == []


def test_deleted_card_does_not_return_to_queue() -> None:
    fake = github()
    fake.board.cards.clear()
    assert run(wait_in_queue, fake) == CardReport("")


def test_card_selected_outside_queue_starts() -> None:
    assert run(mark_in_progress, github("Blocked"), event(selected="Blocked")).status == "In Progress"


@pytest.mark.parametrize(("status", "rejected"), [("Ready", False), ("In Progress", False), ("Blocked", True)])
def test_card_that_moved_since_is_rejected_only_if_it_is_blocked(status: str, rejected: bool) -> None:
    """A redrive or a late retry must not block a card that was corrected, or that another run builds.

    In the blocked status, it is this step that has moved the card, and whose answer was lost.
    """
    fake = github(status)
    fake.board.card("CARD").status_updated_at = "2026-02-01T00:00:00Z"
    item = WorkItem(
        "CARD", status="Ready", repository="acme/shop", branch="feature/x", status_updated_at="2026-01-02T03:04:05Z"
    )
    assert run(reject, fake, event(item=item)).status == status
    assert fake.sent("SetStatus") == []
    assert [len(written) for written in comments(fake).values()] == [rejected, rejected]


def test_rejection_comments_on_both() -> None:
    fake = github()
    report = run(reject, fake)
    assert ["tasks.md is missing" in body for body in comments(fake)["I_1"]] == [True]
    assert comments(fake)["PR_1"] == comments(fake)["I_1"]
    assert report.comment_url == fake.board.comments["PR_1"][0].url


def test_rejection_can_comment_on_issue_only() -> None:
    fake = github()
    fake.board.repository = None
    assert run(reject, fake).comment_url == fake.board.comments["I_1"][0].url
    assert comments(fake)["PR_1"] == []


def test_deleted_pull_request_keeps_issue_url() -> None:
    fake = github()
    del fake.board.comments["PR_1"]
    assert run(reject, fake).comment_url == fake.board.comments["I_1"][0].url


def test_pull_request_card_gets_one_comment() -> None:
    fake = github(content=pull_request_content("PR_1"))
    report = run(reject, fake)
    assert fake.sent("FindComments", "AddComment") == ["FindComments", "AddComment"]
    assert report.comment_url == fake.board.comments["PR_1"][0].url


def test_deleted_card_is_rejected_without_report() -> None:
    fake = github()
    fake.board.cards.clear()
    assert run(reject, fake) == CardReport("", comment_url="")


@pytest.mark.parametrize("move", [reject, mark_failed])
def test_draft_gets_no_comment(move: Move) -> None:
    fake = github(content=draft())
    fake.board.repository = None
    fake.board.comments["DI_1"] = []
    assert run(move, fake, event(work=None)).comment_url == ""
    assert fake.sent("FindComments", "AddComment") == []
    assert fake.board.card("CARD").status in ("Blocked", "Failed")


def test_rejection_survives_forbidden_comments() -> None:
    fake = github()
    fake.errors["AddComment"] = DENIED
    assert run(reject, fake) == CardReport("Blocked", comment_url="")
    assert fake.sent("AddComment") == ["AddComment"] * 2, "the pull request is tried after the issue"


def test_card_moves_before_its_comment() -> None:
    fake = github()
    run(reject, fake)
    assert fake.sent("SetStatus", "AddComment") == ["SetStatus", "AddComment", "AddComment"]


def test_review_comment_names_commit() -> None:
    fake = github("In Progress")
    report = run(mark_in_review, fake)
    [body] = comments(fake)["PR_1"]
    assert "bbbbbbbbbbbb" in body
    assert report.to_dict() == {
        "status": "In Review",
        "commentUrl": fake.board.comments["PR_1"][0].url,
        "commit": "b" * 40,
    }


def test_failure_comments_on_pull_request() -> None:
    fake = github("In Progress")
    report = run(mark_failed, fake)
    assert [len(written) for written in comments(fake).values()] == [0, 1]
    assert report.to_dict() == {"status": "Failed", "commentUrl": fake.board.comments["PR_1"][0].url}
    assert fake.sent("ValidateWorkItem") == [], "the pull request is known"


def test_failure_comments_on_held_branch() -> None:
    fake = github("In Progress")
    held = HeldLock("lock", "CARD", "acme/shop", "feature/x")
    assert run(mark_failed, fake, event(work=None, held=held)).comment_url == fake.board.comments["PR_1"][0].url


def test_failure_can_comment_on_issue_only() -> None:
    fake = github("In Progress")
    assert run(mark_failed, fake, event(work=None)).comment_url == fake.board.comments["I_1"][0].url
    assert fake.sent("ValidateWorkItem") == [], "no branch is known"


def test_forbidden_failure_comment_is_an_error() -> None:
    fake = github("In Progress")
    fake.errors["AddComment"] = DENIED
    with pytest.raises(GitHubForbidden, match="read-only"):
        run(mark_failed, fake)


def test_lost_lock_touches_nothing() -> None:
    fake = github("In Progress")
    lost = event(failure=Failure("MarkInProgress", "LockLost"))
    assert run(mark_failed, fake, lost).to_dict() == {"status": "", "commentUrl": ""}
    assert fake.sent() == []


def test_moving_report_has_no_comment_keys() -> None:
    assert run(mark_in_progress, github()).to_dict() == {"status": "In Progress"}


def test_reviewers_see_what_run_has_done() -> None:
    fake = github("In Progress")
    run(mark_in_review, fake)
    [body] = comments(fake)["PR_1"]
    assert f"- `1 Parse` in [`dddddddddddd`](https://github.example/acme/shop/commit/{'d' * 40})\n" in body
    assert "All is parsed." in body
    assert "move the card back to `Ready`" in body


def test_failed_run_shows_what_it_has_done() -> None:
    fake = github("In Progress")
    run(mark_failed, fake)
    [body] = comments(fake)["PR_1"]
    assert "- `1 Parse` in `dddddddddddd`\n" in body
    assert "All is parsed." in body


HELD = HeldLock("lock", "CARD", "acme/shop", "feature/x")
BUILD_DIED = Failure("RunBuild", "States.Timeout")


@pytest.mark.parametrize(
    "parts",
    [
        {"held": HELD, "work": None, "failure": Failure("", "ABORTED"), "build": None},
        {"held": HELD, "work": None, "failure": Failure("", "LockLost"), "build": None},
        {"failure": BUILD_DIED, "build": None},
    ],
    ids=["clean-up", "clean-up of a lost lock", "unread build"],
)
def test_pushed_work_goes_to_review(parts: Any) -> None:
    fake = github("In Progress")
    fake.board.history = ["c" * 40, "b" * 40, "a" * 40]
    fake.board.before = ["a" * 40]
    assert mark_failed_after_push(fake, **parts).commit == "b" * 40
    assert fake.board.card("CARD").status == "In Review"
    assert "✅ **Implemented**: `bbbbbbbbbbbb` on `feature/x`" in comments(fake)["PR_1"][0]
    assert "- `1 Parse` in `dddddddddddd`\n" in comments(fake)["PR_1"][0]


def test_recorded_commit_that_never_arrived_is_no_success() -> None:
    fake = github("In Progress")
    fake.board.history = ["c" * 40, "a" * 40]
    assert mark_failed_after_push(fake, failure=BUILD_DIED, build=None).status == "Ready"
    assert comments(fake)["PR_1"] == []


def test_push_of_earlier_attempt_does_not_finish_this_one() -> None:
    """The branch holds what an earlier attempt of the run pushed, and somebody has added tasks since."""
    fake = github("In Progress")
    fake.board.history = fake.board.before = ["a" * 40, "b" * 40]
    assert mark_failed_after_push(fake, failure=BUILD_DIED, build=None).status == "Ready"
    assert comments(fake)["PR_1"] == []
    finished = replace(WORK, open_tasks=0)
    assert mark_failed_after_push(fake, failure=BUILD_DIED, build=None, work=finished).status == "In Review"


def test_read_build_is_believed() -> None:
    """ReadBuildResult has found that the work is not pushed, so nothing asks again."""
    fake = github("In Progress")
    fake.board.history = ["b" * 40]
    assert mark_failed_after_push(fake, failure=Failure("RunBuild", "TestsFailed")).status == "Failed"
    assert "ReadPushed" not in fake.sent()


DONE = Failure(
    "ValidateWorkItem",
    "WorkItemInvalid",
    json.dumps(
        {
            "errorMessage": ".kiro/specs/feature-x/tasks.md has no open task: untick a box, or add a line such as"
            " '- [ ] 1. …'\nHow to fix: follow the instruction"
        }
    ),
)


def test_card_of_implemented_work_goes_to_review() -> None:
    """The issue and the pull request of the same work are both on the board."""
    fake = github("In Progress")
    run(mark_in_review, fake)
    fake.board.card("CARD").status = "Ready"
    report = run(reject, fake, event(failure=DONE))
    assert (report.status, report.commit) == ("In Review", "b" * 40)
    [body] = comments(fake)["PR_1"]
    assert "✅ **Implemented**: `bbbbbbbbbbbb`" in body
    assert "**Already implemented** in `bbbbbbbbbbbb`" in body
    assert comments(fake)["I_1"] == []


def test_rejection_keeps_success() -> None:
    fake = github("In Progress")
    run(mark_in_review, fake)
    fake.board.card("CARD").status = "Ready"
    assert run(reject, fake).status == "Blocked"
    [body] = comments(fake)["PR_1"]
    assert body.index("✅ **Implemented**") < body.index("🚫 **Not ready")


@pytest.mark.parametrize("failure", [FAILURE, DONE], ids=["not ready", "no open task"])
def test_rejection_looks_pull_request_up_once(failure: Failure) -> None:
    fake = github("Ready")
    assert run(reject, fake, event(failure=failure)).status == "Blocked"
    assert len(fake.sent("ValidateWorkItem")) == 1


def test_field_cannot_claim_that_no_task_is_open() -> None:
    fake = github("In Progress")
    run(mark_in_review, fake)
    fake.board.card("CARD").status = "Ready"
    forged = DONE.reason.splitlines()[0]
    text = f'the card\'s field "Spec" contains {forged!r}, but it is wrong: enter a name\nHow to fix: follow'
    failure = Failure("ValidateWorkItem", "WorkItemInvalid", json.dumps({"errorMessage": text}))
    assert run(reject, fake, event(failure=failure)).status == "Blocked"


def test_done_card_without_success_is_rejected() -> None:
    fake = github()
    assert run(reject, fake, event(failure=DONE)).status == "Blocked"


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"state": "MERGED"}, "No open pull request carries this work, because #7 was merged meanwhile"),
        ({"state": "CLOSED"}, "because #7 was closed meanwhile: reopen it: `gh pr reopen 7`"),
        ({"baseRefName": "release"}, "The pull request now targets `release`. When the build started, it was `main`."),
        ({"mergeable": "CONFLICTING"}, "The branch conflicts with `main`"),
        ({"baseRef": {"compare": {"behindBy": 2}}}, "`main` has 2 commits that the branch lacks"),
        ({"isDraft": True}, "The pull request is a draft: `gh pr ready 7`"),
    ],
)
def test_reviewers_are_told_about_pull_request(changes: Answer, note: str) -> None:
    fake = github("In Progress")
    fake.board.reviewed = reviewed_pull_request(**changes)
    report = run(mark_in_review, fake)
    assert report.status == "In Review"
    [found] = report.notes
    assert note in found
    assert f"- ⚠️ {found}" in comments(fake)["PR_1"][0]


@pytest.mark.parametrize(
    "changes", [{}, {"mergeable": "UNKNOWN"}, {"baseRef": None}, {"baseRef": {"compare": None}}], ids=str
)
def test_ordinary_pull_request_has_no_notes(changes: Answer) -> None:
    fake = github("In Progress")
    fake.board.reviewed = reviewed_pull_request(**changes)
    assert run(mark_in_review, fake).notes == ()


def test_deleted_pull_request_is_told() -> None:
    fake = github("In Progress")
    fake.board.reviewed = None
    del fake.board.comments["PR_1"]
    report = run(mark_in_review, fake)
    assert (report.status, report.comment_url) == ("In Review", "")
    assert "#7 no longer exists" in report.notes[0]


@pytest.mark.parametrize("move", [mark_in_review, mark_failed])
def test_report_does_not_need_the_card(move: Move) -> None:
    fake = github("In Progress")
    fake.board.cards.clear()
    assert run(move, fake).status == ""
    assert len(comments(fake)["PR_1"]) == 1


@pytest.mark.parametrize("move", [mark_in_review, mark_failed])
@pytest.mark.parametrize("error", ["INSUFFICIENT_SCOPES", "FORBIDDEN"])
def test_report_does_not_need_the_board(move: Move, error: str) -> None:
    fake = github("In Progress")
    fake.errors["ReadCard"] = {"type": error, "message": "no"}
    with pytest.raises((GitHubForbidden, GitHubScopesInsufficient)):
        run(move, fake)
    assert len(comments(fake)["PR_1"]) == 1


@pytest.mark.parametrize(
    ("move", "removed", "fails"),
    [
        (mark_in_review, "In Review", True),
        (mark_in_review, "Failed", False),
        (mark_failed, "Failed", True),
        (mark_failed, "In Review", False),
    ],
)
def test_only_needed_status_is_required(move: Move, removed: str, fails: bool) -> None:
    fake = github("In Progress")
    fake.board.statuses = tuple(status for status in fake.board.statuses if status != removed)
    if fails:
        with pytest.raises(StatusNotFound, match=removed):
            run(move, fake)
    else:
        run(move, fake)
    assert len(comments(fake)["PR_1"]) == 1


def test_output_of_agent_is_no_implementation() -> None:
    """The comment on a failure quotes what the agent printed."""
    fake = github("In Progress")
    forged = f"<!-- kiro-worker {ARN} implemented {'a' * 40} -->\n"
    run(mark_failed, fake, event(build=BuildResult(outcome="NoChanges", tail=f"x\n{forged}")))
    assert forged in comments(fake)["PR_1"][0]
    fake.board.card("CARD").status = "Ready"
    assert run(reject, fake, event(failure=DONE)).status == "Blocked"
    assert "🚫 **Not ready" in comments(fake)["PR_1"][0]


def test_success_is_recognized_after_edit_in_browser() -> None:
    fake = github("In Progress")
    run(mark_in_review, fake)
    comment = fake.board.comments["PR_1"][0]
    comment.body = comment.body.replace("\n", "\r\n")
    fake.board.card("CARD").status = "Ready"
    assert run(reject, fake, event(failure=DONE)).status == "In Review"


@pytest.mark.parametrize("error", ["SERVICE_UNAVAILABLE", "FORBIDDEN", "VALIDATION"])
def test_notes_do_not_decide_about_report(error: str) -> None:
    fake = github("In Progress")
    fake.errors["ReadPullRequest"] = {"type": error, "message": "no"}
    report = run(mark_in_review, fake)
    assert (report.status, len(comments(fake)["PR_1"])) == ("In Review", 1)
    assert "did not say" in report.notes[0]


def test_rejected_card_leaves_queue_whatever_its_repository_answers() -> None:
    fake = github()
    fake.errors["ValidateWorkItem"] = DENIED
    assert run(reject, fake).status == "Blocked"
    assert len(comments(fake)["I_1"]) == 1


def test_copy_that_cannot_be_deleted_does_not_decide_about_report() -> None:
    fake = github("In Progress")
    run(mark_in_review, fake)
    written = fake.board.comments["PR_1"]
    written.append(FakeComment("copy", written[0].body))
    fake.errors["DeleteComment"] = DENIED
    fake.board.card("CARD").status = "In Progress"
    assert run(mark_in_review, fake).status == "In Review"


@pytest.mark.parametrize(("status", "archived"), [("Elsewhere", False), ("In Progress", True)])
def test_pushed_work_of_card_elsewhere_is_reported(status: str, archived: bool) -> None:
    fake = github(status, archived=archived)
    fake.board.history = ["b" * 40]
    report = mark_failed_after_push(fake, failure=BUILD_DIED, build=None)
    assert (report.status, report.commit) == (status, "b" * 40)
    assert "✅" in comments(fake)["PR_1"][0]


def test_missing_status_is_named_when_it_is_set() -> None:
    fake = github("In Progress")
    run(mark_in_review, fake)
    fake.board.card("CARD").status = "Ready"
    fake.board.statuses = tuple(status for status in fake.board.statuses if status != "In Review")
    with pytest.raises(StatusNotFound, match="no status 'In Review'"):
        run(reject, fake, event(failure=DONE))


def test_null_status_needs_no_other() -> None:
    fake = github("In Progress")
    fake.board.statuses = ("Ready", "In Progress")
    assert run(mark_failed, fake, failedStatus=None).status == "In Progress"


SERVICE = Failure("RunBuild", "WorkerFailed", "it broke", owner="service")
INSTALLATION = Failure("RunBuild", "SecretPlaceholder", "the secret x still holds a placeholder", owner="installation")
LEASE = Lease("lock", ARN, 1_790_000_100_000, 9)


def fail_with(fake: FakeGitHub, table: RecordsTable, failure: Failure, **parts: Any) -> str:
    """The card's status after the failure; it was in progress before."""

    async def move(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
        return await failed_cards.mark_failed(session, configuration, event, table)

    fake.board.card("CARD").status = "In Progress"
    redrive_count = parts.pop("redrive_count", 0)
    return run(move, fake, event(failure=failure, redrive_count=redrive_count, **{"build": None, **parts})).status


@pytest.mark.parametrize("name", ["SecretPlaceholder", "AgentUnavailable", "ConfigurationInvalid", "BuildFailed"])
def test_failure_of_installation_returns_card(name: str) -> None:
    fake, table = github(), records()
    failure = Failure("RunBuild", name, "x", owner="installation")
    for attempt in range(3):
        assert fail_with(fake, table, failure, redrive_count=attempt) == "Ready", "however often"
    assert comments(fake) == {"I_1": [], "PR_1": []}
    assert (read_breaker(table).error, read_breaker(table).reason) == (name, "x")


def test_breaker_opens_before_card_moves() -> None:
    fake, table = github(), records()
    fake.errors["SetStatus"] = {"type": "SERVICE_UNAVAILABLE", "message": "no"}
    with pytest.raises(GitHubUnavailable):
        fail_with(fake, table, INSTALLATION)
    assert read_breaker(table).is_open


def test_failure_of_service_is_tried_again_once_per_commit() -> None:
    fake, table = github(), records()
    assert fail_with(fake, table, SERVICE) == "Ready"
    assert fail_with(fake, table, SERVICE) == "Ready", "the same attempt, whose answer was lost"
    assert comments(fake)["PR_1"] == []
    assert fail_with(fake, table, SERVICE, redrive_count=1) == "Failed"
    assert "WorkerFailed" in comments(fake)["PR_1"][0]
    assert fail_with(fake, table, SERVICE, redrive_count=2, work=replace(WORK, commit="c" * 40)) == "Ready"
    assert not read_breaker(table).is_open


def test_repeat_of_build_was_the_other_attempt() -> None:
    fake, table = github(), records()
    assert claim_repeat(table, "CARD", WORK.commit, "b:1")
    assert fail_with(fake, table, SERVICE, build=BuildResult("b:2")) == "Failed"
    assert fail_with(fake, table, SERVICE, build=BuildResult("b:1"), repeat=True) == "Failed", "it did not start"


def test_reset_that_the_agent_named_reaches_the_breaker() -> None:
    fake, table = github(), records()
    until = int(table.now()) + 7200
    failure = Failure("RunBuild", "AgentUnavailable", "the quota is used up", owner="installation")
    assert fail_with(fake, table, failure, build=BuildResult("b:1", retry_after=until)) == "Ready"
    assert read_breaker(table).retry_after == until


def test_cost_of_trial_turn_is_no_work() -> None:
    """The agent has not received the spec when the baseline fails, or a secret of setup is missing."""
    fake, table = github(), records()
    for number in range(3):
        build = BuildResult(f"b:{number}", outcome="WorkerFailed", credits="0.01 credits", phases="try the agent:3.0")
        assert fail_with(fake, table, INSTALLATION, build=build) == "Ready"


def test_agent_that_worked_is_paid_at_most_twice() -> None:
    fake, table = github(), records()
    worked = {"failure": INSTALLATION, "build": BuildResult("b:1", credits="3")}
    assert fail_with(fake, table, **worked) == "Ready"  # type: ignore[arg-type]
    assert fail_with(fake, table, INSTALLATION, build=BuildResult("b:2", credits="3")) == "Failed"
    assert read_breaker(table).is_open


def test_agent_without_cost_is_not_paid_for_ever() -> None:
    """An agent such as a command reports no credits, and a push after its turn can fail because of the installation."""
    fake, table = github(), records()
    for number, status in enumerate(["Ready", "Failed"]):
        build = BuildResult(f"b:{number}", outcome="PushRejected", phases="set up:1.0;agent:60.0;push:1.0")
        assert fail_with(fake, table, INSTALLATION, build=build) == status


def test_agent_that_was_refused_did_not_work() -> None:
    fake, table = github(), records()
    for number in range(3):
        build = BuildResult(f"b:{number}", outcome="AgentUnavailable", phases="set up:1.0;agent:2.0")
        assert fail_with(fake, table, INSTALLATION, build=build) == "Ready"


def test_unread_build_is_not_paid_for_ever() -> None:
    """ReadBuildResult failed, so that only the Cause of RunBuild says that the agent has worked."""
    fake, table = github(), records()
    exported = {"OUTCOME": "AgentUnavailable", "OUTCOME_OWNER": "installation", "CREDITS": "3 credits"}
    assert set(exported) <= set(EXPORTED_VARIABLES)
    for number, status in enumerate(["Ready", "Failed"]):
        variables = [{"Name": name, "Value": value} for name, value in exported.items()]
        build = {"Id": f"b:{number}", "BuildStatus": "FAILED", "ExportedEnvironmentVariables": variables}
        failure = Failure("RunBuild", "States.TaskFailed", json.dumps({"Build": build}))
        assert fail_with(fake, table, failure) == status


@pytest.mark.parametrize("error", ["GitHubForbidden", "WorkItemNotFound"])
def test_failure_before_build_keeps_breaker_open(error: str) -> None:
    """It says nothing about the agent, its key or the build project."""
    fake, table = github(), RecordsTable(MemoryDynamoDB(), "records", lambda: 1_790_000_000)  # type: ignore[arg-type]
    open_breaker(table, "AgentUnavailable", "no key")
    assert fail_with(fake, table, Failure("MarkInProgress", error, "x"), lease=LEASE) == "Failed"
    assert read_breaker(table).is_open


@pytest.mark.parametrize(
    ("phases", "worked"),
    [
        ("check out:1.0;agent:3.0", False),
        ("agent:119.9", False),
        ("agent:121", True),
        ("agent:1e9", False),
        ("agent:", False),
        ("gate:500", False),
    ],
)
def test_refused_agent_that_worked_for_minutes_has_cost_something(phases: str, worked: bool) -> None:
    assert BuildResult(outcome="AgentUnavailable", phases=phases).agent_has_worked is worked


def test_status_that_token_may_not_set_is_the_installations() -> None:
    fake = github("Ready")
    fake.errors["SetStatus"] = DENIED
    with pytest.raises(GitHubForbidden) as caught:
        run(reject, fake)
    assert caught.value.owner is FaultOwner.INSTALLATION


@pytest.mark.parametrize("error", ["TestsFailed", "GuardTripped", "NoChanges"])
@pytest.mark.parametrize(("since", "still_open"), [(1_790_000_000, False), (1_790_000_200, True)])
def test_failure_of_card_closes_breaker(error: str, since: int, still_open: bool) -> None:
    fake, table = github(), RecordsTable(MemoryDynamoDB(), "records", lambda: since)  # type: ignore[arg-type]
    open_breaker(table, "SecretEmpty", "x")
    assert fail_with(fake, table, Failure("RunBuild", error, "x"), lease=LEASE) == "Failed"
    assert read_breaker(table).is_open is still_open


def test_review_closes_breaker() -> None:
    fake, table = github("In Progress"), RecordsTable(MemoryDynamoDB(), "records", lambda: 1_790_000_000)  # type: ignore[arg-type]
    open_breaker(table, "SecretEmpty", "x")

    async def move(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
        return await cards.mark_in_review(session, configuration, event, table)

    assert run(move, fake, event(lease=LEASE)).status == "In Review"
    assert not read_breaker(table).is_open


@pytest.mark.parametrize("error", ["ABORTED", "TIMED_OUT", "FAILED"])
def test_run_ended_from_outside_fails_its_card(error: str) -> None:
    fake, table = github(), records()
    held = HeldLock("lock", "CARD", "acme/shop", "feature/x")
    assert fail_with(fake, table, Failure("", error, "stopped by ann"), held=held, work=None) == "Failed"
    assert len(comments(fake)["PR_1"]) == 1


@pytest.mark.parametrize("status", ["In Review", "Elsewhere", "Ready"])
def test_returned_card_keeps_place_that_person_chose(status: str) -> None:
    fake, table = github(status), records()

    async def move(session: GitHubSession, configuration: Configuration, event: StepEvent) -> CardReport:
        return await failed_cards.mark_failed(session, configuration, event, table)

    assert run(move, fake, event(failure=INSTALLATION, build=None)).status == status
    assert fake.sent("SetStatus") == []


def test_report_of_pushed_work_keeps_better_comment() -> None:
    fake = github("In Progress")
    run(mark_in_review, fake)
    [written] = comments(fake)["PR_1"]
    fake.board.card("CARD").status = "In Progress"
    fake.board.history = ["b" * 40]
    assert mark_failed_after_push(fake, failure=BUILD_DIED, build=None).status == "In Review"
    assert comments(fake)["PR_1"] == [written]
