from __future__ import annotations

import pytest

from kiro_local.github.board import Board
from kiro_local.github.item_filter import Term, matcher, parse
from kiro_local.github.model import Project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    board = Board(tmp_path_factory.mktemp("github"))
    repository = board.add_repository("acme/shop")
    repository.git.commit("main", {"a": "a"})
    repository.git.commit("x", {"a": "b"}, base="main")
    project = board.add_project("acme", text_fields=("Branch", "Delivery stage"))
    board.add_field(project, "Team", options=("Red", "Blue, light"))
    board.add_card(
        project, board.add_issue(repository, "Open issue"), status="For Implementation", branch="feature/x", Team="Red"
    )
    board.add_card(project, board.add_issue(repository, "Closed issue", state="CLOSED"), status="Done")
    board.add_card(
        project, board.add_pull_request(repository, "x", title="Merged request", state="MERGED"), status="Done"
    )
    board.add_card(
        project, board.add_pull_request(repository, "x", title="Draft request", draft=True), Team="Blue, light"
    )
    board.add_card(project, "Draft card", status="Todo")
    board.set_value(project.items[-1], "Delivery stage", "Ready")
    board.add_card(project, None, status="For Implementation")
    return project


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("", ["Open issue", "Closed issue", "Merged request", "Draft request", "Draft card", ""]),
        ('status:"For Implementation"', ["Open issue", ""]),
        ('STATUS:"for implementation"', ["Open issue", ""]),
        ("status:Todo,Done", ["Closed issue", "Merged request", "Draft card"]),
        ('status:"For Implementation",Todo is:draft', ["Draft card"]),
        ("-status:Done", ["Open issue", "Draft request", "Draft card", ""]),
        ("-status:Done -is:draft", ["Open issue", ""]),
        ('status:"For Implementatio"', []),
        ("-status:Nowhere is:issue", ["Open issue", "Closed issue"]),
        ("unknown-field:x", []),
        ('delivery-stage:"Ready"', ["Draft card"]),
        ('team:"Blue, light"', ["Draft request"]),
        ("branch:feature/*", ["Open issue"]),
        ("no:status", ["Draft request"]),
        ("has:branch", ["Open issue"]),
        ("no:nothing-like-it", []),
        ("is:open", ["Open issue", "Draft request", "Draft card"]),
        ("is:closed", ["Closed issue", "Merged request"]),
        ("is:merged", ["Merged request"]),
        ("is:pr", ["Merged request", "Draft request"]),
        ("is:issue,pr", ["Open issue", "Closed issue", "Merged request", "Draft request"]),
        ("is:strange", []),
        ("issue", ["Open issue", "Closed issue"]),
        ("-issue is:open", ["Draft request", "Draft card"]),
        ('"closed issue"', ["Closed issue"]),
        ('title:"draft *"', ["Draft request", "Draft card"]),
        ("repo:ACME/shop is:open", ["Open issue", "Draft request"]),
        ("status:", []),
        ('status:"unterminated', []),
    ],
)
def test_query_selects_cards(project: Project, query: str, titles: list[str]) -> None:
    shown = matcher(query)
    assert [item.title for item in project.items if shown(item)] == titles


def test_quotes_commas_and_negation_are_parsed() -> None:
    assert parse('-status:"In, Review",Done free "two words" no:branch') == (
        Term("status", ("In, Review", "Done"), negated=True),
        Term("", ("free",)),
        Term("", ("two words",)),
        Term("no", ("branch",)),
    )
