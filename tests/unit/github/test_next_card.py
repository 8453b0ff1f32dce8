"""Which waiting card is taken, in what order, and how far a run reads a long board."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiro_worker.errors import GitHubError
from kiro_worker.github.next_card import (
    MOST_PAGES,
    MOST_POINTS,
    MOST_SECONDS,
    REJECTED_SECONDS,
    NextCard,
    Queue,
    fetch_next_card,
)
from kiro_worker.models import WorkItem
from kiro_worker.passed_over import PassedOverCard, Why, counts
from kiro_worker.records.cards import Rejection
from kiro_worker.records.queue import QueueRecords
from tests.support.fake_github import Board, FakeCard, FakeGitHub, configuration

MOVED = datetime.fromisoformat("2026-01-02T03:04:05Z").timestamp()
PRIORITIES = ("P0", "P1", "P2")
NO_FILTER = {"message": "Field 'items' doesn't accept argument 'query'"}


def next_of(fake: FakeGitHub, queue: Queue | None = None, **changes: Any) -> NextCard:
    async def act() -> NextCard:
        async with fake.open_session() as session:
            return await fetch_next_card(session, configuration(**changes), queue or Queue())

    return asyncio.run(act())


def taken(found: NextCard) -> str | None:
    return found.item.id if found.item else None


def cards(count: int, name: str = "CARD", **changes: Any) -> list[FakeCard]:
    return [FakeCard(f"{name}_{number}", **changes) for number in range(count)]


def queue_with(
    rejected: Mapping[str, float] | None = None, *, locked: Sequence[str] = (), spent: Sequence[str] = ()
) -> Queue:
    """A queue an hour after the cards were moved. ``rejected`` says how many seconds after the move each one was."""
    rejections = {name: Rejection(int(MOVED + seconds), "no branch") for name, seconds in (rejected or {}).items()}

    def read(items: Sequence[WorkItem]) -> QueueRecords:
        assert 0 < len(items) <= 40
        ids = [item.id for item in items]
        found = {card_id: rejections[card_id] for card_id in ids if card_id in rejections}
        return QueueRecords(found, {card_id: "acme/shop has spent 5 of its 5" for card_id in ids if card_id in spent})

    def lock_of(item: WorkItem) -> str:
        return "the-lock" if item.id in locked else ""

    return Queue(lock_of=lock_of, read_records=read, now=MOVED + 3600)


@pytest.mark.parametrize(
    ("rejected", "chosen", "left_alone"),
    [
        ({}, "ONE", []),
        ({"ONE": 60}, "TWO", []),
        ({"ONE": 3590}, "TWO", ["ONE"]),
        ({"ONE": -60}, "ONE", []),
        ({"ONE": 60, "TWO": 120}, "ONE", []),
        ({"ONE": 3590, "TWO": 120}, "TWO", ["ONE"]),
        ({"ONE": 3590, "TWO": 3600 - REJECTED_SECONDS}, "TWO", ["ONE"]),
        ({"ONE": 3590, "TWO": 3601 - REJECTED_SECONDS}, None, ["ONE", "TWO"]),
    ],
    ids=str,
)
def test_rejected_cards_come_last(rejected: dict[str, float], chosen: str | None, left_alone: list[str]) -> None:
    fake = FakeGitHub(Board([FakeCard("ONE"), FakeCard("TWO")]))
    found = next_of(fake, queue_with(rejected))
    assert taken(found) == chosen
    assert found.passed_over == tuple(PassedOverCard(card, Why.REJECTED, "no branch") for card in left_alone)


def test_cards_that_cannot_be_built_do_not_hide_later_pages() -> None:
    waiting = cards(45)
    names = [card.id for card in waiting]
    queue = queue_with(dict.fromkeys(names[30:], 3590.0), locked=names[:20], spent=names[20:30])
    fake = FakeGitHub(Board([*waiting, FakeCard("HIDDEN", content=None), FakeCard("LAST"), FakeCard("AFTER")]))
    found = next_of(fake, queue)
    assert (taken(found), found.hidden) == ("LAST", 1)
    assert [card.item for card in found.passed_over] == names
    assert counts(found.passed_over, found.hidden) == {
        Why.LOCKED: 20,
        Why.REJECTED: 15,
        Why.BUDGET_SPENT: 10,
        Why.HIDDEN: 1,
    }


def test_locked_card_is_not_looked_up_in_the_records() -> None:
    queue = queue_with(locked=["ONE"])
    fake = FakeGitHub(Board([FakeCard("ONE")]))
    found = next_of(fake, queue)
    assert found.passed_over == (PassedOverCard("ONE", Why.LOCKED, "the-lock"),)


def test_time_of_move_that_is_not_known_is_no_move() -> None:
    fake = FakeGitHub(Board([FakeCard("ONE", status_updated_at=None)]))
    assert next_of(fake, queue_with({"ONE": 3590})).item is None


def test_waiting_cards_are_measured() -> None:
    waiting = [FakeCard("ONE"), FakeCard("OLD", status_updated_at="2026-01-02T02:04:05Z"), FakeCard("DONE", "Failed")]
    found = next_of(FakeGitHub(Board(waiting)), queue_with())
    assert (taken(found), found.oldest_seconds) == ("ONE", 7200)
    assert found.waiting == 3, "GitHub counts what its filter matches"
    fake = FakeGitHub(Board(waiting))
    fake.errors["FetchWorkItem"] = NO_FILTER
    assert next_of(fake, queue_with()).waiting == 2, "without a filter, only cards in the status count"


def test_first_option_of_priority_comes_first() -> None:
    board = Board(
        [
            FakeCard("NONE"),
            FakeCard("LOW", priority="P2"),
            FakeCard("HIGH", priority="P0"),
            FakeCard("TOO", priority="P0"),
        ],
        priorities=("P0", "P1", "P2"),
    )
    assert taken(next_of(FakeGitHub(board))) == "HIGH"
    assert taken(next_of(FakeGitHub(board), queue_with(locked=["HIGH", "TOO"]))) == "LOW"
    assert taken(next_of(FakeGitHub(board), queue_with(locked=["HIGH", "TOO", "LOW"]))) == "NONE"
    assert taken(next_of(FakeGitHub(board), queue_with({"HIGH": 60}))) == "TOO", (
        "a rejected card comes last all the same"
    )


def test_board_without_priorities_is_in_its_own_order() -> None:
    board = Board([FakeCard("ONE", priority="P2"), FakeCard("TWO", priority="P0")])
    assert taken(next_of(FakeGitHub(board))) == "ONE"


def test_priority_field_is_configured() -> None:
    fake = FakeGitHub(Board([FakeCard("ONE")]))
    next_of(fake, priorityField="Urgency")
    next_of(fake, priorityField=None)
    asked = [(request.variables["priorityField"], request.variables["byPriority"]) for request in fake.requests]
    assert asked == [("Urgency", True), ("", False)]


def test_priority_on_a_later_page_wins() -> None:
    board = Board(
        [*cards(25, priority="P1"), FakeCard("HIGH", priority="P0"), *cards(60, "REST")], priorities=("P0", "P1")
    )
    fake = FakeGitHub(board)
    assert taken(next_of(fake)) == "HIGH"
    assert len(fake.requests) == 2, "no later page can have an earlier card"


STATES = st.sampled_from(["ready", "locked", "rejected", "spent"])


@given(st.lists(st.tuples(st.sampled_from([*PRIORITIES, None]), STATES)), st.integers(1, 7))
def test_taken_card_is_the_first_that_can_be_built(waiting: list[tuple[str | None, str]], page_size: int) -> None:
    names: dict[str, list[str]] = {"ready": [], "locked": [], "rejected": [], "spent": []}
    for place, (_, state) in enumerate(waiting):
        names[state].append(f"CARD_{place}")
    on_board = [FakeCard(f"CARD_{place}", priority=priority) for place, (priority, _) in enumerate(waiting)]
    fake = FakeGitHub(Board(on_board, priorities=PRIORITIES))
    fake.page_size = page_size * 10
    queue = queue_with(dict.fromkeys(names["rejected"], 3590.0), locked=names["locked"], spent=names["spent"])
    found = next_of(fake, queue)
    ranks = [*PRIORITIES, None]
    ready = [(ranks.index(priority), at) for at, (priority, state) in enumerate(waiting) if state == "ready"]
    assert taken(found) == (f"CARD_{min(ready)[1]}" if ready else None)
    assert not {card.item for card in found.passed_over} & set(names["ready"])


@pytest.mark.parametrize(("filtered", "most"), [(True, MOST_POINTS), (False, MOST_PAGES)])
def test_long_board_is_read_over_several_runs(filtered: bool, most: int) -> None:
    names = [card.id for card in cards(20 * most + 35)]
    fake = FakeGitHub(Board([*cards(20 * most + 35), FakeCard("LAST")]))
    if not filtered:
        fake.errors["FetchWorkItem"] = NO_FILTER
    queue = queue_with(locked=names)
    first = next_of(fake, queue)
    assert (first.item, len(fake.sent("FetchWorkItem" if filtered else "FetchPage"))) == (None, most)
    assert first.cursor
    fake.requests.clear()
    second = next_of(fake, replace(queue, cursor=first.cursor))
    assert taken(second) == "LAST"
    after = [request.variables["after"] for request in fake.requests if request.name != "FetchWorkItem" or filtered]
    assert after == [None, str(20 * most), str(20 * (most + 1))], "the first page, and then the rest"
    assert second.cursor == str(20 * (most + 1)), "the page of the card may have another one"
    third = next_of(fake, replace(queue_with(locked=[*names, "LAST"]), cursor=second.cursor))
    assert third.cursor == str(20 * (most - 1)), "after the end of the board, the rest in its order"


def test_slow_board_is_read_for_a_limited_time() -> None:
    fake = FakeGitHub(Board(cards(100)))
    times = iter([0.0, 1.0, MOST_SECONDS, MOST_SECONDS + 1])
    found = next_of(fake, replace(queue_with(locked=[card.id for card in cards(100)]), clock=lambda: next(times)))
    assert (found.item, found.cursor, len(fake.requests)) == (None, "60", 3)


def test_cursor_stays_while_the_first_page_has_cards() -> None:
    found = next_of(FakeGitHub(Board(cards(100))), replace(queue_with(), cursor="80"))
    assert (taken(found), found.cursor) == ("CARD_0", "80")


def test_refused_cursor_is_forgotten() -> None:
    class Refusing(FakeGitHub):
        async def execute(self, request: Any, **rest: Any) -> Any:
            if (request.variable_values or {}).get("after") == "gone":
                self.errors["FetchWorkItem"] = {"type": "INVALID_CURSOR_ARGUMENTS", "message": "`gone` is no cursor"}
            answer = await super().execute(request, **rest)
            self.errors.clear()
            return answer

    fake = Refusing(Board([*cards(30), FakeCard("LAST")]))
    queue = replace(queue_with(locked=[card.id for card in cards(30)]), cursor="gone")
    found = next_of(fake, queue)
    assert taken(found) == "LAST"
    assert [request.variables["after"] for request in fake.requests] == [None, "gone", "20"]


def test_server_that_repeats_its_cursor_is_not_read_for_ever() -> None:
    class Repeating(FakeGitHub):
        def _fetch(self, variables: dict[str, Any]) -> dict[str, Any]:
            answer = super()._fetch(variables)
            answer["organization"]["projectV2"]["items"]["pageInfo"] = {"hasNextPage": True, "endCursor": "0"}
            return answer

    fake = Repeating(Board(cards(3)))
    found = next_of(fake, queue_with(locked=[card.id for card in cards(3)]))
    assert (found.item, found.cursor, len(fake.requests)) == (None, "", 2)


def test_run_that_reaches_the_end_reads_what_an_earlier_run_has_read() -> None:
    board = [*cards(20), FakeCard("FREE"), *cards(60, "REST")]
    fake = FakeGitHub(Board(board))
    locked = [card.id for card in board if card.id != "FREE"]
    found = next_of(fake, replace(queue_with(locked=locked), cursor="60"))
    assert taken(found) == "FREE", "its lock was freed after the earlier run, and no other run would come for it"
    assert [request.variables["after"] for request in fake.requests] == [None, "60", "80", "20"]
    assert found.cursor == "20"


@pytest.mark.parametrize("cursor", ["", "20", "30", "35", "60", "75", "81", "500"])
def test_every_card_is_considered_once_wherever_an_earlier_run_stopped(cursor: str) -> None:
    names = [card.id for card in cards(81)]
    fake = FakeGitHub(Board(cards(81)))
    found = next_of(fake, replace(queue_with(locked=names), cursor=cursor))
    assert sorted(card.item for card in found.passed_over) == sorted(names)
    assert (found.waiting, found.cursor) == (81, "")


def test_priority_wins_on_every_page_after_a_card_was_taken() -> None:
    board = Board([*cards(40, "LOW", priority="P2"), *cards(40, "HIGH", priority="P1")], priorities=PRIORITIES)
    fake = FakeGitHub(board)
    first = next_of(fake)
    assert taken(first) == "HIGH_0"
    assert taken(next_of(fake, replace(queue_with(locked=["HIGH_0"]), cursor=first.cursor))) == "HIGH_1"


def test_long_board_with_priorities_is_read_on_while_cards_are_taken() -> None:
    low = cards(20 * MOST_POINTS, "LOW", priority="P2")
    fake = FakeGitHub(Board([*low, FakeCard("HIGH", priority="P0")], priorities=PRIORITIES))
    first = next_of(fake)
    assert (taken(first), first.cursor) == ("LOW_0", str(20 * MOST_POINTS))
    assert taken(next_of(fake, replace(queue_with(locked=["LOW_0"]), cursor=first.cursor))) == "HIGH"


class OnePage(FakeGitHub):
    """Answers for the first page only."""

    async def execute(self, request: Any, **rest: Any) -> Any:
        if (request.variable_values or {}).get("after"):
            self.errors["FetchWorkItem"] = {"type": "INTERNAL", "message": "something went wrong"}
        return await super().execute(request, **rest)


def test_later_page_that_cannot_be_read_keeps_no_card_waiting() -> None:
    board = Board(cards(40, priority="P1"), priorities=PRIORITIES)
    found = next_of(OnePage(board))
    assert (taken(found), found.cursor) == ("CARD_0", "20")
    with pytest.raises(GitHubError, match="something went wrong"):
        next_of(OnePage(board), queue_with(locked=[card.id for card in board.cards]))
