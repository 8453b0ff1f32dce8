"""How a build can end: the closed list of outcomes and, for each, its meaning, owner, effect on the card, and fix.

This is the one source: the runner, the state machine's functions and the comments use :class:`Outcome`, and the tables
in the documentation are generated from :data:`OUTCOMES` (``make docs``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class FaultOwner(StrEnum):
    """Who has to act when something fails."""

    CARD = "card"
    """The author of the card: its branch, spec or pull request."""
    REPOSITORY = "repository"
    """The team that owns the repository: its tests, its protected branches, its files."""
    INSTALLATION = "installation"
    """Whoever runs this installation: secrets, configuration, agent, AWS account."""
    SERVICE = "service"
    """Nobody here: GitHub, AWS or the worker itself failed, and another attempt may work."""


class CardEffect(StrEnum):
    """Where a build's end moves its card."""

    REVIEW = "review"
    FAILED = "failed"
    NONE = "none"


class Outcome(StrEnum):
    """How a build ended. The value is the name that people see."""

    SUCCEEDED = "Succeeded"
    AGENT_FAILED = "AgentFailed"
    AGENT_TIMED_OUT = "AgentTimedOut"
    NO_CHANGES = "NoChanges"
    TESTS_FAILED = "TestsFailed"
    COVERAGE_BELOW_THRESHOLD = "CoverageBelowThreshold"
    PUSH_REJECTED = "PushRejected"
    LOCK_LOST = "LockLost"
    GUARD_TRIPPED = "GuardTripped"
    CHECKOUT_FAILED = "CheckoutFailed"
    WORKER_FAILED = "WorkerFailed"


@dataclass(frozen=True)
class OutcomeFacts:
    """What is true of every build with this outcome. ``owner`` is ``None`` where nobody has to act."""

    meaning: str
    owner: FaultOwner | None
    card_effect: CardEffect
    fix: str


OUTCOMES: Final[Mapping[Outcome, OutcomeFacts]] = {
    Outcome.SUCCEEDED: OutcomeFacts(
        "The tests passed, and the work is on the branch.",
        None,
        CardEffect.REVIEW,
        "Nothing to fix: review the pull request.",
    ),
    Outcome.AGENT_FAILED: OutcomeFacts(
        "The agent could not be started, failed, gave no proof of a turn, or has spent what it may.",
        FaultOwner.INSTALLATION,
        CardEffect.FAILED,
        "Read the last lines of `agent.log` on the comment; check the agent's key, its installation and its limits,"
        " then redrive the execution.",
    ),
    Outcome.AGENT_TIMED_OUT: OutcomeFacts(
        "A turn of the agent exceeded `agent.timeoutMinutes`, or all of its turns `agent.maxMinutes`.",
        FaultOwner.CARD,
        CardEffect.FAILED,
        "Redrive the execution: finished tasks are on the checkpoint. Split large tasks, or raise the limit.",
    ),
    Outcome.NO_CHANGES: OutcomeFacts(
        "The agent changed nothing, or no task was open.",
        FaultOwner.CARD,
        CardEffect.FAILED,
        "Make the open tasks more specific, or tick those that are done.",
    ),
    Outcome.TESTS_FAILED: OutcomeFacts(
        "The project's tests failed, did not run, or have no command.",
        FaultOwner.REPOSITORY,
        CardEffect.FAILED,
        "Read `tests.log`; fix the tests or the spec, or set `testCommand`, then redrive the execution.",
    ),
    Outcome.COVERAGE_BELOW_THRESHOLD: OutcomeFacts(
        "The tests passed, but their coverage is below `coverageThreshold` or could not be measured.",
        FaultOwner.REPOSITORY,
        CardEffect.FAILED,
        "Add tests, or change `coverageThreshold`, then redrive the execution.",
    ),
    Outcome.PUSH_REJECTED: OutcomeFacts(
        "The server refused the push, or the branch moved and the work does not apply to it.",
        FaultOwner.REPOSITORY,
        CardEffect.FAILED,
        "Check branch protection and the rights of the git credentials, or merge the branch, then redrive the execution.",
    ),
    Outcome.LOCK_LOST: OutcomeFacts(
        "The lock belongs to another run now, or no slot was free. Nothing was pushed.",
        None,
        CardEffect.NONE,
        "Nothing to fix: the run that holds the lock works on. Replay the card when it has ended.",
    ),
    Outcome.GUARD_TRIPPED: OutcomeFacts(
        "The branch or the agent changed files that steer the agent or run commands, or the change holds a secret.",
        FaultOwner.CARD,
        CardEffect.FAILED,
        "Review the named files. Merge them into the default branch first, or set the guard's label on the pull request.",
    ),
    Outcome.CHECKOUT_FAILED: OutcomeFacts(
        "The pinned commit, its submodules, LFS files or steering files could not be checked out.",
        FaultOwner.REPOSITORY,
        CardEffect.FAILED,
        "Follow the reason's own fix: push what is missing, or give the git credentials access to it.",
    ),
    Outcome.WORKER_FAILED: OutcomeFacts(
        "The worker itself failed, AWS or GitHub did not answer, or the build was stopped.",
        FaultOwner.SERVICE,
        CardEffect.FAILED,
        "Redrive the execution. If it fails again, read the build log.",
    ),
}
