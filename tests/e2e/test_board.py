"""Boards as they are: cards that the token may not see, linked branches elsewhere, closed issues."""

from __future__ import annotations

from typing import Literal

import pytest

from kiro_local.github.model import Item
from tests.support.world import World

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
