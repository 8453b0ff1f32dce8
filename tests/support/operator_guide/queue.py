"""Problems of the queue: a run ends without a card, or the lock is held."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tests.support.fake_github import FakeCard
from tests.support.lock_table import ONE, TWO, LockWorld
from tests.support.operator_guide.problem import Problem, Seen, raised
from tests.support.operator_guide.step import ITEM, Installation, in_step
from tests.unit.functions.conftest import WORK

BREAKER: Final = {"recordKey": {"S": "breaker"}, "since": {"N": "1763900000"}}
OPENED: Final = {
    "error": {"S": "SecretPlaceholder"},
    "reason": {"S": "the secret kiro-worker-<env>-github-token still holds a placeholder"},
    "retryAfter": {"N": "99999999999"},
}
PAUSE: Final = {
    "pausedBy": {"S": "ann@example.com"},
    "pausedSince": {"N": "1763900000"},
    "pauseReason": {"S": "release"},
}
LOCK: Final = {"lockKey": {"S": "work-item-processor-lock"}, "owner": {"S": TWO}, "workItemId": {"S": "OTHER"}}
BOARD: Final = "the board acme/1"


def recorded(**item: Any) -> Callable[[], Seen]:
    return in_step("FetchWorkItem", lambda it: it.aws.items.append(BREAKER | item))


def reject(it: Installation) -> None:
    """Put a card on the board that an earlier run has just rejected."""
    it.github.board.cards = [FakeCard("CARD")]
    it.aws.items = [{"recordKey": {"S": "card#CARD"}, "rejectedAt": {"N": str(int(time.time()))}}]


def held_lock(key: str) -> Seen:
    world = LockWorld.in_memory()
    world.locks.acquire(key, ONE)
    return raised(lambda: world.locks.acquire(key, TWO))


def hold(it: Installation) -> None:
    """Let another card's run hold the lock."""
    it.aws.held, it.aws.items = True, [LOCK]


def many_skipped() -> Callable[[], Seen]:
    document = {
        "item": ITEM,
        "skipped": [{"item": f"CARD_{number}", "reason": "no branch"} for number in range(9)],
        "failure": {"state": "ValidateWorkItem", "error": "WorkItemInvalid", "cause": "no branch"},
    }
    return in_step("FetchWorkItem", lambda _: None, document)


QUEUE: Final = (
    Problem(
        "No card is found, although some are waiting elsewhere",
        "NothingToDo",
        "no card is waiting in 'Ready'",
        BOARD,
        "move a card to 'Ready'",
        in_step("FetchWorkItem", lambda it: it.github.board.cards.append(FakeCard("CARD", "Elsewhere"))),
    ),
    Problem(
        "Cards wait, but were rejected a short while ago",
        "CardsPassedOver",
        "can be built now: 1 rejected a short while ago and not moved since",
        BOARD,
        "A corrected card is taken at once if it is moved out of the target status and back",
        in_step("FetchWorkItem", reject),
    ),
    Problem(
        "A run tries ten cards, and none of them is ready",
        "CardsPassedOver",
        "the run tried 10 cards, and none can be built",
        '"skipped" and "passedOver" in the output of FetchWorkItem',
        "A corrected card is taken at once if it is moved out of the target status and back",
        many_skipped(),
    ),
    Problem(
        "Cards wait whose issue or pull request the token cannot see",
        "CardsPassedOver",
        "can be built now: 1 that the token cannot see",
        BOARD,
        "give the token access to the repositories of the cards that it cannot see",
        in_step("FetchWorkItem", lambda it: it.github.board.cards.append(FakeCard("CARD", content=None))),
    ),
    Problem(
        "A run ends without a card while another one builds",
        "WorkInProgressElsewhere",
        "is held by arn:aws:states:",
        "the lock work-item-processor-lock",
        "wait: the run that ends next starts another one",
        in_step("FetchWorkItem", lambda it: it.aws.items.append(LOCK)),
    ),
    Problem(
        "The queue is paused",
        "Paused",
        "paused the queue",
        "ann@example.com",
        "kiro-worker resume --environment test",
        recorded(**PAUSE),
    ),
    Problem(
        "The breaker is open, because an earlier run found the installation broken",
        "InstallationUnavailable",
        "the installation has failed since",
        "the secret kiro-worker-test-github-token still holds a placeholder",
        "kiro-worker resume --environment test",
        recorded(**OPENED),
    ),
    Problem(
        "The lock is held",
        "LockHeld",
        f"has been held by {ONE}",
        "the lock work-item-processor-lock",
        f"aws stepfunctions describe-execution --execution-arn {ONE}",
        partial(held_lock, "work-item-processor-lock"),
    ),
    Problem(
        "The lock of the card's repository is held",
        "ScopedLockHeld",
        f"has been held by {ONE}",
        "the lock work-item-processor-lock#acme/shop",
        f"aws stepfunctions describe-execution --execution-arn {ONE}",
        partial(held_lock, "work-item-processor-lock#acme/shop"),
    ),
    Problem(
        "A card is replayed or redriven while another one is built",
        "PinnedLockHeld",
        "has been held by arn:aws:states:",
        "the lock work-item-processor-lock",
        "wait: the card goes to 'Ready', and is built in its turn",
        in_step("AcquireLock", hold, {"item": ITEM, "work": WORK, "pinned": True}),
    ),
)
