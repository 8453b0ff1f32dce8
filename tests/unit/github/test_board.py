"""The cards of a board, as GitHub's answers describe them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kiro_worker.errors import ProjectNotFound, StatusNotFound
from kiro_worker.github.answers.board import BoardPage, CardNode, Project
from kiro_worker.github.branch_names import branch_problem
from kiro_worker.github.next_card import NextCard, Queue, fetch_next_card
from kiro_worker.models import WorkItem
from tests.support.fake_github import (
    Board,
    FakeCard,
    FakeGitHub,
    configuration,
    draft,
    issue,
    pull_request_content,
)


def parsed(card: FakeCard) -> WorkItem:
    return CardNode.parse(card.answer()).item


def linked(*names: str | None, repository: str = "acme/shop") -> dict[str, Any]:
    found = {"repository": {"nameWithOwner": repository}}
    nodes = [{"ref": found | {"name": name} if name else None} for name in names]
    return {"linkedBranches": {"nodes": nodes}}


def next_card(fake: FakeGitHub, **changes: Any) -> str | None:
    item = next_of(fake, **changes).item
    return item.id if item else None


def next_of(fake: FakeGitHub, queue: Queue | None = None, **changes: Any) -> NextCard:
    async def act() -> NextCard:
        async with fake.open_session() as session:
            return await fetch_next_card(session, configuration(**changes), queue or Queue())

    return asyncio.run(act())


@pytest.mark.parametrize(
    ("field", "content", "branch"),
    [
        ("feature/field", issue(**linked("feature/linked")), "feature/field"),
        ("  feature/field \n", issue(), "feature/field"),
        (None, issue(**linked("feature/linked")), "feature/linked"),
        ("", issue(**linked("feature/linked", "feature/linked")), "feature/linked"),
        (None, issue(**linked("feature/linked", repository="Acme/Shop")), "feature/linked"),
        ("  ", issue(**linked("feature/linked")), "feature/linked"),
        (None, issue(**linked(None, "feature/second")), "feature/second"),
        (None, issue(**linked(None)), ""),
        (None, issue(linkedBranches={"nodes": [None]}), ""),
        (None, issue(linkedBranches=None), ""),
        (None, issue(), ""),
        (None, pull_request_content(headRefName="feature/head"), "feature/head"),
        ("feature/field", pull_request_content(headRefName="feature/head"), "feature/field"),
        (None, pull_request_content(headRefName=None), ""),
        (None, draft(), ""),
        (None, None, ""),
    ],
)
def test_branch_has_three_sources(field: str | None, content: Any, branch: str) -> None:
    assert parsed(FakeCard("ONE", branch=field, content=content)).branch == branch


@pytest.mark.parametrize(
    ("changes", "linked_branches"),
    [
        (linked("feature/x", repository="acme/docs"), ("acme/docs:feature/x",)),
        (linked("feature/x", "feature/y"), ("acme/shop:feature/x", "acme/shop:feature/y")),
        (linked(None), ()),
    ],
)
def test_linked_branches_that_leave_it_open(changes: dict[str, Any], linked_branches: tuple[str, ...]) -> None:
    item = parsed(FakeCard("ONE", branch=None, content=issue(**changes)))
    assert (item.branch, item.linked_branches) == ("", linked_branches)


def test_hidden_content_is_redacted() -> None:
    item = parsed(FakeCard("ONE", content=None))
    assert (item.content_type, item.content_id, item.repository, item.number) == ("Redacted", "", "", 0)


def test_draft_has_no_repository() -> None:
    item = parsed(FakeCard("ONE", content=draft()))
    assert (item.content_type, item.title, item.repository, item.url) == ("DraftIssue", "A draft", "", "")


def test_content_can_lack_repository() -> None:
    assert parsed(FakeCard("ONE", content=issue(repository=None))).repository == ""


def test_long_fields_are_cut() -> None:
    """A text that fills the state document would end the run at its first state, and so would every later run."""
    item = parsed(FakeCard("ONE", branch="b" * 300_000, spec="s" * 300_000))
    assert (item.branch, item.spec) == ("b" * 1000, "s" * 1000)
    assert branch_problem(item.branch)


def test_long_title_is_cut() -> None:
    assert parsed(FakeCard("ONE", content=issue(title="x" * 300))).title == "x" * 200


def test_null_status_is_empty() -> None:
    assert parsed(FakeCard("ONE", status=None)).status == ""


def test_time_of_last_move_is_read() -> None:
    assert parsed(FakeCard("ONE")).status_updated_at == "2026-01-02T03:04:05Z"
    assert parsed(FakeCard("ONE", status=None)).status_updated_at == ""


@pytest.mark.parametrize(
    "odd",
    [None, "", "yesterday", "2026-01-02", "2026-01-02T03:04:05", 7, {}, "0001-01-01T00:00:00+23:59"],
    ids=repr,
)
def test_status_counts_without_its_time(odd: Any) -> None:
    item = parsed(FakeCard("ONE", status_updated_at=odd))
    assert (item.status, item.status_updated_at) == ("Ready", "")


def test_old_server_is_read_in_pages() -> None:
    fake = FakeGitHub(Board([FakeCard("MOVED", "Elsewhere"), FakeCard("DONE", "In Review"), FakeCard("ONE")]))
    fake.page_size = 1
    fake.errors["FetchWorkItem"] = {"message": "Field 'items' doesn't accept argument 'query'"}
    assert next_card(fake) == "ONE"
    assert fake.sent() == ["FetchWorkItem", "FetchPage", "FetchPage", "FetchPage"]
    assert [request.variables.get("after") for request in fake.requests[1:]] == [None, "1", "2"]


def test_last_page_ends_search() -> None:
    fake = FakeGitHub(Board([FakeCard("MOVED", "Elsewhere")]))
    fake.errors["FetchWorkItem"] = {"message": "Field 'items' doesn't accept argument 'query'"}
    assert next_card(fake) is None
    assert fake.sent() == ["FetchWorkItem", "FetchPage"]


def test_missing_status_lists_existing_ones() -> None:
    fake = FakeGitHub(Board([FakeCard("ONE")]))
    with pytest.raises(StatusNotFound, match="has no status 'Nowhere'; it has 'Ready', 'In Progress'"):
        next_card(fake, failedStatus="Nowhere")


@pytest.mark.parametrize("field", [None, {}, {"__typename": "ProjectV2Field"}])
def test_other_field_is_no_status_field(field: Any) -> None:
    assert Project.parse({"id": "PROJECT", "title": "Work", "statusField": field}).status_field is None


@pytest.mark.parametrize("answer", [{}, {"organization": None}, {"organization": {"projectV2": None}}])
def test_invisible_project_is_no_page(answer: Any) -> None:
    assert BoardPage.parse(answer, "organization") is None


def test_invisible_project_is_an_error() -> None:
    fake = FakeGitHub()
    with pytest.raises(ProjectNotFound, match="the user acme has no project 1"):
        next_card(fake, ownerType="user")
